# Commands for people and for CI. The first `make demo` or `make test` sets up all that they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One worker per core; tests/workers.py tells which tests share one.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 8
INSTALLED := $(VENV)/installed
COMPILED_FROM := setup.py pyproject.toml constraints.txt \
	$(shell find torchml_core -name '*.pyx' -o -name '*.pxd' -o -name '*.h')

.PHONY: help setup kimpy demo docs test test-quick test-gpu bench peers lint format clean

help:
	@echo "make demo        evaluates an example model on a structure, checks its forces"
	@echo "make test        runs all tests"
	@echo "make test-quick  runs a part of every test but the slow ones"
	@echo "make test-gpu    runs the tests that need a CUDA device (skipped if there is none)"
	@echo "make docs        builds the documentation site into docs/_build/html"
	@echo "make bench       measures our speed beside other packages (BENCH=--quick: in a minute)"
	@echo "make peers       installs the packages that make bench compares with"
	@echo "make kimpy       installs kimpy, for the tests that use it (needs the KIM-API)"
	@echo "make lint        checks style and types;  make format  repairs the style"
	@echo "make setup       installs everything into .venv; each of the above does this first"
	@echo "make clean       removes everything that was built"

setup: $(INSTALLED)

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(COMPILED_FROM) | $(BIN)/python
	@echo "installing torchml_core and its dependencies into $(VENV) (takes minutes the first time)"
	@PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check \
		--editable ".[dev]"
	@touch $@

# For tests of the KIM driver from Python; they are skipped without kimpy. pip takes minutes to
# compile it. With `make -j2 kimpy` this happens in parallel with everything else.
kimpy: setup $(VENV)/wheels
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps $(VENV)/wheels/*.whl

$(VENV)/wheels: | $(BIN)/python
	@$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $@ kimpy

demo: setup
	@$(BIN)/python examples/demo.py

test: setup
	$(PYTEST)

test-quick: setup
	$(PYTEST) -m "not slow" --hypothesis-profile=quick

test-gpu: setup
	$(BIN)/python -m pytest -m gpu tests

docs: setup
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

bench: setup
	$(BIN)/torchml-core bench $(BENCH)

peers: setup
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[peers]"

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/vermin --quiet --violations --target=3.10- --no-tips --eval-annotations torchml_core tests benchmarks examples docs setup.py
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/cython-lint torchml_core examples tests
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) build docs/_build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find torchml_core -name '*.so' -delete
