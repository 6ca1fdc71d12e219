# `make run` and `make test` do all the set-up by themselves.
PYTHON ?= python3
BIN := .venv/bin
NBCONVERT := $(BIN)/jupyter nbconvert
PAPERMILL := $(BIN)/papermill --log-output --cwd run # says which cell runs, and shows the progress bars of the cells
COALESCE := --CoalesceStreamsPreprocessor.enabled=True # keeps the last state of a progress bar, not all of them
REPORT_LOOK := --template report --TemplateExporter.extra_template_basedirs=run
NOTEBOOKS := $(addprefix run/,$(addsuffix .ipynb,master_notebook appendix bytes try_your_own measure_your_own data_exploration))
REPORT := reports/master_notebook

.PHONY: run demo study notebooks pretrained test test-all test-faults bench format clean

run: .venv/installed  ## the master notebook with the quick preset, as a report to open
	@echo "About ten minutes on the complete data, five on the samples"
	$(PAPERMILL) run/master_notebook.ipynb $(REPORT).ipynb
	$(NBCONVERT) --to html $(REPORT_LOOK) $(COALESCE) $(REPORT).ipynb
	@echo "The report is in $(REPORT).html"

demo: .venv/installed-for-demo  ## a page to click: what a code keeps of a picture
	$(BIN)/python run/demo.py

pretrained: .venv/installed  ## the models that come with the repository, from the full study's checkpoints
	$(BIN)/python run/pack_pretrained.py

study: PRESET = full
study: notebooks  ## the full study: about four hours, and the outputs are kept in the notebooks

export PRESET ?= quick
# what papermill notes of the run, its times and the paths of the machine, must not stay in a notebook
CLEAN := --ClearMetadataPreprocessor.enabled=True --ClearMetadataPreprocessor.preserve_nb_metadata_mask kernelspec \
	--ClearMetadataPreprocessor.preserve_nb_metadata_mask language_info \
	--ClearMetadataPreprocessor.preserve_cell_metadata_mask tags
notebooks: .venv/installed-for-tests  ## run all notebooks in place, with the preset quick or full
	for notebook in $(NOTEBOOKS); do \
		$(PAPERMILL) $$notebook $$notebook.out && mv $$notebook.out $$notebook || exit 1; \
	done
	$(NBCONVERT) --to notebook --inplace $(COALESCE) $(CLEAN) $(NOTEBOOKS)

test: .venv/installed-for-tests  ## linter and the fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest tests --ignore tests/faults -m "not slow" -n 2 --dist worksteal

test-all: test  ## the slow ones, too
	$(BIN)/pytest tests --ignore tests/faults -m slow

test-faults: .venv/installed-for-tests  ## kills, damaged files, full disks and bad input; about ten minutes
	$(BIN)/pytest tests/faults -s

bench: .venv/installed  ## how fast it is on this machine; QUICK=1 in three minutes
	$(BIN)/python run/benchmark.py $(if $(QUICK),--quick)

format: .venv/installed-for-tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## what a run made, but neither data nor committed results
	rm -rf .venv reports/sample reports/quick reports/epochs_* $(REPORT).html $(REPORT).ipynb $(addprefix models/,*.pt in_training sample quick epochs_*)

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	touch $@

.venv/installed-for-demo: run/requirements-demo.txt .venv/installed
	$(BIN)/python -m pip install --quiet --requirement run/requirements-demo.txt
	touch $@

.venv/installed-for-tests: tests/requirements.txt .venv/installed
	$(BIN)/python -m pip install --quiet --requirement tests/requirements.txt
	touch $@
