# `make run` and `make test` do all the set-up by themselves.
PYTHON ?= python3
BIN := .venv/bin
NBCONVERT := $(BIN)/jupyter nbconvert --execute --ExecutePreprocessor.timeout=-1 --CoalesceStreamsPreprocessor.enabled=True
REPORT := reports/master_notebook.html

.PHONY: run study test format clean

run: .venv/installed  ## the whole study, as a report to open
	$(NBCONVERT) --to html --output-dir reports run/master_notebook.ipynb
	@echo "The report is in $(REPORT)"

study: .venv/installed  ## the same, and the exploration of the data, with the outputs kept in the notebooks
	$(NBCONVERT) --to notebook --inplace run/data_exploration.ipynb
	$(NBCONVERT) --to notebook --inplace run/master_notebook.ipynb

test: .venv/installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest tests

format: .venv/installed-for-tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## what a run made, but neither data nor committed results
	rm -rf .venv reports/sample $(REPORT) models/*.pt models/sample

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	touch $@

.venv/installed-for-tests: tests/requirements.txt .venv/installed
	$(BIN)/python -m pip install --quiet --requirement tests/requirements.txt
	touch $@
