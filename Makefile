# `make run` and `make test` do all the set-up by themselves.
PYTHON ?= python3
BIN := .venv/bin
NBCONVERT := $(BIN)/jupyter nbconvert
EXECUTE := $(NBCONVERT) --to notebook --execute --ExecutePreprocessor.timeout=-1
COALESCE := --CoalesceStreamsPreprocessor.enabled=True # keeps the last state of a progress bar, not all of them
REPORT_LOOK := --template report --TemplateExporter.extra_template_basedirs=run
NOTEBOOKS := $(addprefix run/,$(addsuffix .ipynb,data_exploration master_notebook further_codes try_your_own))
EXECUTED := reports/master_notebook.ipynb
REPORT := reports/master_notebook.html

.PHONY: run study test test-faults bench format clean

run: .venv/installed  ## the whole study, as a report to open
	@echo "Running the study: about 65 minutes on the complete data, longer without bfloat16; under ten on the sample"
	$(EXECUTE) --output-dir reports run/master_notebook.ipynb
	$(NBCONVERT) --to html $(REPORT_LOOK) $(COALESCE) $(EXECUTED)
	@echo "The report is in $(REPORT)"

study: .venv/installed  ## the same and all other notebooks, with the outputs kept in them
	$(EXECUTE) --inplace $(NOTEBOOKS)
	$(NBCONVERT) --to notebook --inplace $(COALESCE) $(NOTEBOOKS)

test: .venv/installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest tests --ignore tests/faults

test-faults: .venv/installed-for-tests  ## kills, damaged files, full disks and bad input; five to eleven minutes
	$(BIN)/pytest tests/faults -s

bench: .venv/installed  ## how fast it is on this machine, beside a plain port of the prior work; QUICK=1 in two to three minutes
	$(BIN)/python run/benchmark.py $(if $(QUICK),--quick)

format: .venv/installed-for-tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## what a run made, but neither data nor committed results
	rm -rf .venv reports/sample $(REPORT) $(EXECUTED) models/*.pt models/in_training models/sample

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	touch $@

.venv/installed-for-tests: tests/requirements.txt .venv/installed
	$(BIN)/python -m pip install --quiet --requirement tests/requirements.txt
	touch $@
