# `make demo` and `make test` need Python 3.11 or newer and make, and install all else into .venv by themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# With the certificates that this machine trusts, as pip does. Packages are compiled when they are first imported.
UV := $(BIN)/uv --quiet --system-certs
PIN := $(UV) pip compile pyproject.toml --universal --generate-hashes --no-header --no-annotate --no-emit-index-url

# Where a shell forbids it, each of the hundreds of processes that the tests start would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-all test-servers lint bench bench-page bench-judgement chaos simulate-faults nightly pins scripts clean

help:  ## Say what there is to make.
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(VENV)/run.stamp  ## The whole way of a spill on this machine: make demo ARGS="--check FILE"
	@$(BIN)/spilldeck demo $(ARGS) || [ $$? -eq 130 ]  # so Ctrl-C ends it

# In three processes, which keep two cores busy: one of them waits for servers as a rule. Each takes whole files, which
# share theirs, in the order of tests/conftest.py.
test: $(VENV)/dev.stamp  ## The tests: make test ARGS="-k worker"
	@sh .ci/programs
	@$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder --durations 20 $(ARGS)

test-all:  ## They and what shows the same again with other values, on other servers, for longer
	@$(MAKE) --no-print-directory test ARGS='-m "" $(ARGS)'

test-servers: $(VENV)/dev.stamp  ## What meets servers, on others: make test-servers SERVERS=secured (or sentinel, cluster)
	@SERVERS=$(or $(SERVERS),secured) $(MAKE) --no-print-directory test \
		ARGS='tests/integration tests/browser tests/ops tests/dashboards tests/chaos $(ARGS)'

lint: $(VENV)/dev.stamp  ## Style, types, and which part may know which.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev.stamp  ## Speed by stage, as multiples of real time.
	@$(BIN)/python -m tests.bench $(ARGS)

bench-page: $(VENV)/dev.stamp  ## Speed of the page in Chromium: make bench-page ARGS="--minutes 2"
	@sh .ci/programs
	@$(BIN)/python -m tests.bench.page $(ARGS)

bench-judgement: $(VENV)/dev.stamp  ## How soon a fault is told, at which rate of false alarms.
	@$(BIN)/python -m tests.bench.judgement $(ARGS)

# On other servers: make chaos SERVERS=secured (or sentinel, cluster).
chaos: $(VENV)/dev.stamp  ## Harm at random, every bin compared: make chaos SEED=1 ROUNDS=20 ARGS="--hosts" (as root)
	@$(BIN)/python -m tests.chaos --seed $(or $(SEED),1) --rounds $(or $(ROUNDS),20) $(ARGS)

simulate-faults: $(VENV)/dev.stamp  ## Hours of beam and faults simulated: make simulate-faults SEED=1 HOURS=1 ARGS="--seeds 200"
	@$(BIN)/python -m tests.simulation --seed $(or $(SEED),1) --hours $(or $(HOURS),1) $(ARGS)

# A new seed each day, said in what is printed.
nightly: $(VENV)/dev.stamp  ## What takes too long for `make test`: hours, more than a million spills simulated
	@$(MAKE) --no-print-directory test-all
	@$(MAKE) --no-print-directory test-servers SERVERS=secured
	@$(MAKE) --no-print-directory test-servers SERVERS=sentinel
	@$(MAKE) --no-print-directory test-servers SERVERS=cluster
	@$(MAKE) --no-print-directory simulate-faults SEED=$$(date +%y%m%d)0000 ARGS="--spills 1000000"
	@$(MAKE) --no-print-directory chaos SEED=$$(date +%y%m%d) ROUNDS=30
	@$(MAKE) --no-print-directory chaos SEED=$$(date +%y%m%d) ROUNDS=13 ARGS=--hosts
	@$(MAKE) --no-print-directory chaos SEED=$$(date +%y%m%d) ROUNDS=16 ARGS=--hosts SERVERS=sentinel
	@$(MAKE) --no-print-directory chaos SEED=$$(date +%y%m%d) ROUNDS=8 SERVERS=secured
	@$(MAKE) --no-print-directory chaos SEED=$$(date +%y%m%d) ROUNDS=8 SERVERS=sentinel
	@$(MAKE) --no-print-directory chaos SEED=$$(date +%y%m%d) ROUNDS=8 SERVERS=cluster

pins: $(VENV)/uv.stamp  ## Pin what pyproject.toml asks for, with hashes; keeps versions that still fit.
	$(PIN) --extra local --extra export -o requirements.txt
	$(PIN) --extra local --extra export --extra dev -o requirements-dev.txt

scripts:  ## Make anew the scripts of others that lie in dashboards/served, when their versions change.
	@sh .ci/scripts

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
