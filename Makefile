# `make demo` and `make test` need Python 3.11 or newer and make, and install all else into .venv by themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Found packages are compiled when they are first imported: most modules never are.
UV := $(BIN)/uv --quiet

.PHONY: help demo test lint bench clean

help:  ## Say what there is to make.
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(VENV)/run.stamp  ## The whole way of a spill on this machine: make demo ARGS="--check FILE"
	@exec $(BIN)/spilldeck demo $(ARGS)

test: $(VENV)/dev.stamp  ## All tests: make test ARGS="-k worker"
	@sh .ci/chromium
	@$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/dev.stamp  ## Style, types, and which part may know which.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev.stamp  ## Speed by stage, as multiples of real time.
	@$(BIN)/python -m tests.bench $(ARGS)

clean:  ## Remove all that the above made here.
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/uv.stamp: requirements-uv.txt
	@echo "making $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	@touch $@

$(VENV)/run.stamp: $(VENV)/uv.stamp requirements.txt pyproject.toml
	@echo "installing packages"
	@$(UV) pip install --python $(BIN)/python --require-hashes -r requirements.txt
	@$(UV) pip install --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements-dev.txt
	@echo "installing packages for tests"
	@$(UV) pip install --python $(BIN)/python --require-hashes -r requirements-dev.txt
	@touch $@
