# `make` lists the targets. Everything runs in .venv, which `setup` makes and the others call.
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
COMPARE := .venv-compare
RECEIVERS := .venv-receivers
GENERATORS := .venv-generators
BOOSTERS := .venv-boosters
BROKER := .venv-broker
STAMP := .venv/setup-done
REQUIREMENTS := .venv/requirements.txt

ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif

.DEFAULT_GOAL := help
BENCHES := throughput compare flat latency restart ingress client predict scale models calibration sources
.PHONY: help setup tools unit demo test test-boosters test-broker test-generators test-receivers test-registry test-containers long lint format
.PHONY: contract reference docs
.PHONY: bench $(BENCHES:%=bench-%) soak lock clean
.SUFFIXES:

help:
	@echo "Driftline. Targets:"
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1@\2/p' $(MAKEFILE_LIST) | awk -F@ '{ printf "  make %-17s %s\n", $$1, $$2 }'

setup: $(STAMP) ## make the environment in .venv, with the locked versions

$(STAMP): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("Python 3.11 or later is needed: make PYTHON=python3.12, say")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing: apt-get install python3-venv, say" >&2; exit 1; }
	@echo "making the environment in .venv ..."
	@$(MAKE) --no-print-directory $(BIN)/uv
	@$(BIN)/uv export -q --frozen --all-groups --no-group boosters --no-group compare --no-group generators --no-group receivers $$(.ci/extras) --no-emit-project -o $(REQUIREMENTS)
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install -q --compile-bytecode --require-hashes -r $(REQUIREMENTS)
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install -q --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q agents api app driftline driftline_server topics
	@touch $@

$(BIN)/uv: Makefile
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

demo: setup ## watch a model drift, fall, alert and recover; EXIT=1 ends after the summary
	@$(BIN)/driftline demo $(if $(EXIT),--exit)

# the plugin of Schemathesis, which no unit test needs, is a tenth of the start
unit: setup ## the unit tests that take less than a second each: no Kafka, browser or database; a minute
	@HYPOTHESIS_PROFILE=$${HYPOTHESIS_PROFILE:-quick} $(BIN)/pytest -n 2 --dist loadfile -p no:schemathesis -m "not slow and not long" tests/unit

test: setup tools lint ## lint, types, import rules, all tests; INSTALL=no leaves out what needs programs that are missing
	@$(BIN)/pytest -n 2 --dist loadfile

tools: setup
	@.ci/tools test

test-containers: setup ## the image and the Compose file in a container engine, one of its own where none answers
	@.ci/tools containers
	@$(BIN)/pytest -n 0 -m containers tests/containers

long: setup ## the fault tests at their larger sizes
	@$(BIN)/pytest -m long

lint: setup ## ruff, mypy --strict, import rules, bandit, pip-audit
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/bandit -q -c pyproject.toml -r agents api app driftline driftline_server manual topics
	@$(BIN)/python .ci/audit $(REQUIREMENTS)
	@$(BIN)/lint-imports --no-logo

format: setup ## put the code into its form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

contract: setup ## write docs/asyncapi.yaml, docs/openapi.json and the wire version's record from the types
	@$(BIN)/driftline contract write docs

reference: setup ## write docs/reference from the code
	@$(BIN)/python -m manual

# without --quiet, which would hide warnings from --strict too
docs: setup ## the documentation as a site, in build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "build/site/index.html"

bench: $(BENCHES:%=bench-%) ## every benchmark, one after another (benchmarks/README.md)

bench-throughput: setup ## events/s of a raw read loop, stock Faust and the whole pipeline
	@$(BIN)/python -m benchmarks.throughput

bench-calibration: setup $(COMPARE)/setup-done ## the decision's false alarms and delays, its goals, River's detectors; QUICK=1, FLIGHTS=file
	@$(BIN)/python -m benchmarks.calibration $(if $(QUICK),--quick)
	@$(BIN)/python -m benchmarks.daynight $(if $(QUICK),--quick)
	@$(BIN)/python -m benchmarks.goals --python $(COMPARE)/bin/python $(if $(QUICK),--quick) $(if $(FLIGHTS),--flights "$(FLIGHTS)")

bench-compare: setup $(COMPARE)/setup-done ## the pipeline beside Quix Streams, Bytewax and Evidently
	@$(BIN)/python -m benchmarks.compare --python $(COMPARE)/bin/python

bench-flat: setup ## events/s at 100,000 to 5 million events; memory of what waits
	@$(BIN)/python -m benchmarks.flat

bench-latency: setup ## from the API's 2xx to the report, from breach to the channel
	@$(BIN)/python -m benchmarks.latency

bench-restart: setup ## recovery of 1 million pending predictions
	@$(BIN)/python -m benchmarks.restart

bench-ingress: setup ## events/s into one API process; the wait of a single one
	@$(BIN)/python -m benchmarks.ingress

bench-client: setup ## what Client.log costs its caller
	@$(BIN)/python -m benchmarks.client_log

bench-predict: setup ## what POST /predict costs beside the model, with 2,000 features
	@$(BIN)/python -m benchmarks.predict_overhead

bench-sources: setup ## what records of others' shapes cost until they are events, JSON and Avro, beside decoding alone
	@$(BIN)/python -m benchmarks.sources

bench-scale: setup ## CPU for each event with one, two and four workers
	@$(BIN)/python -m benchmarks.scale

bench-models: setup ## CPU for each event, memory and restart with 1 to 1,000 models
	@$(BIN)/python -m benchmarks.models $(if $(QUICK),--quick)

soak: setup ## ten minutes at a steady rate, and nothing may grow; SECONDS=180 for less
	@$(BIN)/python -m benchmarks.soak $(if $(SECONDS),--seconds $(SECONDS))

# what is compared with has an environment of its own; where it cannot be had, the benchmark says so and goes on
$(COMPARE)/setup-done: pyproject.toml uv.lock
	@echo "making the environment of what is compared with in $(COMPARE) ..."
	@$(PYTHON) -m venv $(COMPARE)
	@$(BIN)/uv export -q --frozen --only-group compare --no-emit-project -o $(COMPARE)/requirements.txt
	@VIRTUAL_ENV=$(COMPARE) $(BIN)/uv pip install -q --require-hashes -r $(COMPARE)/requirements.txt \
		&& touch $@ || echo "not all of it can be installed here" >&2

test-receivers: setup $(RECEIVERS)/setup-done ## webhooks through the parsers of receivers that nobody here wrote (Alerta)
	@RECEIVERS=$(RECEIVERS)/bin/python $(BIN)/pytest -n 0 -m receivers tests/foreign

test-registry: setup ## sources whose schemas are in Apicurio Registry, which comes from Maven Central (109 MB, once)
	@$(BIN)/pytest -n 0 -m registry tests/foreign

test-generators: setup $(GENERATORS)/setup-done ## clients that others' generators make of docs/openapi.json, against a real API
	@GENERATORS=$(GENERATORS)/bin $(BIN)/pytest -n 0 -m generators tests/foreign

# software of others has an environment of its own, made of the group of the same name
$(GENERATORS)/setup-done $(RECEIVERS)/setup-done: .venv-%/setup-done: pyproject.toml uv.lock
	@echo "making the environment of $* in .venv-$* ..."
	@$(PYTHON) -m venv .venv-$*
	@$(BIN)/uv export -q --frozen --only-group $* --no-emit-project -o .venv-$*/requirements.txt
	@VIRTUAL_ENV=.venv-$* $(BIN)/uv pip install -q --require-hashes -r .venv-$*/requirements.txt
	@touch $@

test-boosters: setup $(BOOSTERS)/setup-done ## models of LightGBM and XGBoost, served by a real API
	@$(BOOSTERS)/bin/python -m pytest -n 0 -m boosters tests/foreign

# models are loaded into the API's own process, so this one has all that .venv has
$(BOOSTERS)/setup-done: pyproject.toml uv.lock
	@echo "making the environment of LightGBM and XGBoost in $(BOOSTERS) ..."
	@$(PYTHON) -m venv $(BOOSTERS)
	@$(BIN)/uv export -q --frozen --group boosters --no-emit-project -o $(BOOSTERS)/requirements.txt
	@VIRTUAL_ENV=$(BOOSTERS) $(BIN)/uv pip install -q --require-hashes -r $(BOOSTERS)/requirements.txt
	@VIRTUAL_ENV=$(BOOSTERS) $(BIN)/uv pip install -q --no-deps --no-build-isolation -e .
	@touch $@

test-broker: setup $(BROKER)/setup-done ## Kafka from PyPI, on a PATH without Java, Maven and Docker
	@BROKER=$(BROKER)/bin $(BIN)/pytest -n 0 -m broker tests/foreign

# as who installs driftline-server[broker] has it, without what the tests need
$(BROKER)/setup-done: pyproject.toml uv.lock
	@echo "making the environment of the extra \"broker\" in $(BROKER) ..."
	@$(PYTHON) -m venv $(BROKER)
	@$(BIN)/uv export -q --frozen --no-default-groups --extra broker --no-emit-project -o $(BROKER)/requirements.txt
	@VIRTUAL_ENV=$(BROKER) $(BIN)/uv pip install -q --require-hashes -r $(BROKER)/requirements.txt
	@$(BIN)/uv export -q --frozen --only-group dev --no-emit-project --no-hashes -o $(BROKER)/build.txt
	@VIRTUAL_ENV=$(BROKER) $(BIN)/uv pip install -q --no-deps --build-constraint $(BROKER)/build.txt -e .
	@touch $@

lock: $(BIN)/uv ## resolve the dependencies anew into uv.lock
	@.ci/lock

clean: ## remove .venv and every cache
	rm -rf .venv $(COMPARE) $(BOOSTERS) $(BROKER) $(GENERATORS) $(RECEIVERS) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find agents api app benchmarks driftline driftline_server tests topics -name __pycache__ -prune -exec rm -rf {} +
