# `make` lists the targets. Everything runs in .venv, which `setup` makes and the others call.
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
STAMP := .venv/setup-done
REQUIREMENTS := .venv/requirements.txt

ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo test long lint format bench bench-throughput lock clean
.SUFFIXES:

help:
	@echo "Driftline. Targets:"
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1@\2/p' $(MAKEFILE_LIST) | awk -F@ '{ printf "  make %-17s %s\n", $$1, $$2 }'

setup: $(STAMP) ## make the environment in .venv, with the locked versions

$(STAMP): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("Python 3.11 or later is needed: make PYTHON=python3.12, say")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing: apt-get install python3-venv, say" >&2; exit 1; }
	@echo "making the environment in .venv ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv export -q --frozen --all-groups --no-emit-project -o $(REQUIREMENTS)
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install -q --require-hashes -r $(REQUIREMENTS)
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install -q --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## watch a model drift, fall, alert and recover; EXIT=1 ends after the summary
	@$(BIN)/driftline demo $(if $(EXIT),--exit)

test: setup lint ## all that .ci/run runs: lint, types, import rules, tests
	@$(BIN)/pytest

long: setup ## the tests that take minutes, at full size
	@$(BIN)/pytest -m long

lint: setup ## ruff, mypy --strict, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: setup ## put the code into its form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: bench-throughput ## every benchmark

bench-throughput: setup ## events/s of a raw read loop, stock Faust and the whole pipeline
	@$(BIN)/python -m benchmarks.throughput

lock: setup ## resolve the dependencies anew into uv.lock
	@.ci/lock

clean: ## remove .venv and every cache
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find agents api app benchmarks tests topics -name __pycache__ -prune -exec rm -rf {} +
