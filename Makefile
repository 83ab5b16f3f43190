# The commands of this project; `make` alone lists them.
#
# Everything is installed into .venv from locked and hashed requirements, with uv where it is on PATH, else with pip.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)

ifdef UV
  NEW_VENV := uv venv --quiet --allow-existing $(VENV)
  INSTALL := uv pip install --quiet --compile-bytecode --python $(BIN)/python
else
  NEW_VENV := $(PYTHON) -m venv $(VENV)
  INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
endif
# The lock is whole, so nothing is left to resolve; an older pip does not see that "coverage[toml]" is the locked "coverage".
LOCKED := --no-deps --require-hashes --requirement

# A version of everything for every Python from 3.11 on, with hashes and without the place it was found at.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header --no-annotate $(if $(UPGRADE),--upgrade) pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types pytest format hooks bench chaos faults kafka lock schemas mutants clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- for everybody ---------------------------------------------------------------------------------------------------

setup: $(VENV)/.runtime ## build .venv with the command .venv/bin/pacing

demo: setup ## watch campaigns being paced, on embedded parts, until Ctrl-C (ONCE=1: a bounded run for scripts)
	@$(BIN)/pacing demo $(if $(ONCE),--once)

# --- for developers --------------------------------------------------------------------------------------------------

test: lint types pytest ## set up; lint, types and all tests; says which suite was skipped

lint: $(VENV)/.dev ## style, form, and whether generated files are up to date
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m schemas.generate --check

types: $(VENV)/.dev ## check the types
	$(BIN)/mypy

# Two processes, for half of the tests wait most of the time (the tests of a file stay in one).
pytest: $(VENV)/.dev ## the tests alone; the core is covered whole (PYTEST_ARGS=... for more)
	$(BIN)/pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder \
	  --cov=worker.pacing --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=100 $(PYTEST_ARGS)

format: $(VENV)/.dev ## put the code into form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

hooks: $(VENV)/.dev ## check each commit before it is made
	$(BIN)/pre-commit install

bench: $(VENV)/.dev ## how fast, on a real Kafka: against four peers, and how it grows (BENCH_ARGS="--only compare ...")
	$(BIN)/python -m tests.benchmarks.bench $(BENCH_ARGS)

chaos: $(VENV)/.dev ## faults in random order under 2,000,000 updates on a real Kafka, then an audit (UPDATES= ROUNDS= SEED=)
	$(BIN)/python -m tests.chaos.run $(if $(UPDATES),--updates $(UPDATES)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only "$(ONLY)")

faults: $(VENV)/.dev ## each of these faults by itself (PYTEST_ARGS='-k broker')
	$(BIN)/pytest tests/chaos $(PYTEST_ARGS)

mutants: $(VENV)/.dev ## change thresholds, reallocation and the deviations' life in small ways: each must fail a test
	$(BIN)/python -m tests.mutants

kafka: $(VENV)/.dev ## run a real Kafka by hand until Ctrl-C
	@$(BIN)/python -m tests.kafka.broker

schemas: $(VENV)/.dev ## generate JSON Schema and AsyncAPI from the models
	$(BIN)/python -m schemas.generate

lock: $(VENV)/.dev ## resolve the requirements anew (UPGRADE=1: to the newest versions)
	$(LOCK) --extra demo --extra build --output-file requirements.txt
	$(LOCK) --extra demo --extra build --extra dev --constraint requirements.txt --output-file requirements-dev.txt
	$(LOCK) --constraint requirements.txt --output-file deploy/requirements.txt

clean: ## remove what was made here: .venv, the caches, Kafka's jars
	rm -rf $(VENV) .cache .pacing .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage build dist tests/contract/asyncapi/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- how .venv is built ----------------------------------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed; name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(NEW_VENV)

$(VENV)/.runtime: requirements.txt pyproject.toml | $(BIN)/python
	$(INSTALL) $(LOCKED) requirements.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	$(BIN)/python -m worker.ledger.warm
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	$(INSTALL) $(LOCKED) requirements-dev.txt
	@touch $@
