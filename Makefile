# What people and CI call. `make demo` and `make test` set up all they need, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# a worker for each core; tests of one group (the KIM driver's) share theirs
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadgroup
INSTALLED := $(VENV)/installed
COMPILED_FROM := setup.py pyproject.toml constraints.txt \
	$(shell find torchml_core -name '*.pyx' -o -name '*.pxd' -o -name '*.h')

.PHONY: help setup kimpy demo test test-quick test-gpu bench lint format clean

help:
	@echo "make demo        set up, evaluate an example model on a structure, check its forces"
	@echo "make test        set up, run all tests"
	@echo "make test-quick  set up, run the tests that take seconds"
	@echo "make test-gpu    set up, run the tests that need a CUDA device (skipped where there is none)"
	@echo "make bench       set up, run the benchmarks"
	@echo "make kimpy       set up, and kimpy, for the tests that use it (needs the KIM-API)"
	@echo "make lint        style and types;  make format  repairs it;  make clean  removes what was built"

setup: $(INSTALLED)

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(COMPILED_FROM) | $(BIN)/python
	@echo "installing torchml_core and what it needs into $(VENV) (minutes the first time)"
	@PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check \
		--editable ".[dev]"
	@touch $@

# For tests of the KIM driver from Python, which others skip. pip compiles it for minutes, beside
# everything else with `make -j2 kimpy`.
kimpy: setup $(VENV)/wheels
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps $(VENV)/wheels/*.whl

$(VENV)/wheels: | $(BIN)/python
	@$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $@ kimpy

demo: setup
	@$(BIN)/python examples/demo.py

test: setup
	$(PYTEST)

test-quick: setup
	$(PYTEST) -m "not slow"

test-gpu: setup
	$(BIN)/python -m pytest -m gpu tests

bench: setup
	$(BIN)/python -m pytest benchmarks

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find torchml_core -name '*.so' -delete
