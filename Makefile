# What people and CI call. `make demo` and `make test` set up all they need, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
COMPILED_FROM := setup.py pyproject.toml constraints.txt \
	$(shell find torchml_core -name '*.pyx' -o -name '*.pxd' -o -name '*.h')

.PHONY: help setup demo test test-quick bench lint format clean

help:
	@echo "make demo        set up, evaluate an example model on a structure, check its forces"
	@echo "make test        set up, run all tests"
	@echo "make test-quick  set up, run the tests that take seconds"
	@echo "make bench       set up, run the benchmarks"
	@echo "make lint        style;  make format  repairs it;  make clean  removes what was built"

setup: $(INSTALLED)

$(INSTALLED): $(COMPILED_FROM)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing torchml_core and what it needs into $(VENV) (minutes the first time)"
	@PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check \
		--editable ".[dev]"
	@touch $@

demo: setup
	@$(BIN)/python examples/demo.py

test: setup
	$(BIN)/python -m pytest

test-quick: setup
	$(BIN)/python -m pytest -m "not slow"

bench: setup
	$(BIN)/python -m pytest benchmarks

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find torchml_core -name '*.so' -delete
