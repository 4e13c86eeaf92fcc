# What can be done with this tree, one word each. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
SCENARIO ?= steady
# Tests that compute and wait for nobody: two at a time, but for the few of them that start processes.
COMPUTING := tests/unit/models tests/unit/monitoring tests/unit/loadtests
# The first of these that runs, is ≥ 3.11 and can make a virtual environment is taken; `make up PYTHON=/path/to/python` decides otherwise.
PYTHON ?= python3.13 python3.12 python3.11 python3

# Only pip's own way to the packages is left to the machine; what comes is held by the hashes in the lock.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
# A lock must be the same on every machine: no configuration file, no UV_ or PIP_ setting, no index of the machine's leaks into it.
COMPILE = env $$(env | sed -n 's/^\(\(UV\|PIP\)_[A-Z_]*\)=.*/-u \1/p') $(BIN)/uv --no-config pip compile --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: up
up: $(VENV)/.runtime ## service and monitor with the demo models, until Ctrl-C; ARGS="--port 3000" goes to `plumbline up`
	@exec $(BIN)/plumbline up $(ARGS)

.PHONY: test
test: $(VENV)/.dev ## everything: what the machine lacks, lint, types, import rules, all tests
	@.ci/packages
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest $(COMPUTING) -m "not integration and not image" -n 2 --dist worksteal
	$(BIN)/python -m pytest $(COMPUTING) -m "integration or image"
	$(BIN)/python -m pytest $(addprefix --ignore=,$(COMPUTING))

.PHONY: check
check: $(VENV)/.dev ## within a minute: format, lint, types, import rules, the quick tests
	@$(MAKE) --no-print-directory lint
	@# bytecode is kept also where the caller's environment forbids it: rewriting every assert again takes 12 s of each process
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -m "not slow and not simulation and not integration and not image" -n 2 --dist worksteal --quiet --hypothesis-profile check

.PHONY: lint
lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

.PHONY: format
format: $(VENV)/.dev ## what ruff can mend by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: promises
promises: $(VENV)/.dev ## the promises, the long way: their tests, the fault table, restarts under load, twice the load of a core, rollouts, months of traffic; ARGS="--months 20"
	$(BIN)/python -m pytest tests/promises
	$(BIN)/python -m tests.promises.faults
	$(BIN)/python -m tests.promises.webhooks
	$(BIN)/python -m tests.promises.restarts
	$(BIN)/python -m tests.promises.hostile
	$(BIN)/python -m tests.promises.sticky
	$(BIN)/python -m tests.promises.swaps
	$(BIN)/python -m tests.promises.overload
	$(BIN)/python -m tests.promises.million
	$(BIN)/python -m tests.promises.soak --minutes 2 --leak
	$(BIN)/python -m tests.promises.soak --minutes 15
	$(BIN)/python -m tests.promises.rollouts --rollouts 500
	$(BIN)/python -m tests.promises.rollouts --live
	$(BIN)/python -m tests.promises.false_alarms $(ARGS)
	$(BIN)/python -m tests.promises.detection
	$(BIN)/python -m tests.promises.fold

.PHONY: load
load: $(VENV)/.dev ## locust against what `make up` started, its page on 127.0.0.1:8089; SCENARIO=spike, ARGS="--headless --users 60" goes to locust
	@exec $(BIN)/python -m locust -f loadtests/locustfile.py --scenario $(SCENARIO) --web-host 127.0.0.1 $(ARGS)

.PHONY: bench
bench: $(VENV)/.dev ## the speed comparison, 20 minutes (needs wrk, two cores); ARGS="--scenarios one_row --rounds 5", "--profile"
	$(BIN)/python -m loadtests.bench $(ARGS)

.PHONY: bench-drift
bench-drift: $(VENV)/.dev ## the detection comparison, hours; ARGS="--bike hour.csv" for the part on real rows, "--quick" for a small one
	$(BIN)/python -m loadtests.drift $(ARGS)

.PHONY: lock
lock: $(VENV)/.dev ## the locks again from pyproject.toml; UPGRADE=1 takes newer versions
	$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml --group install --output-file requirements.lock
	$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml --group install --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	for client in kserve mlserver mlflow; do \
		$(COMPILE) $(if $(UPGRADE),--upgrade) --group $$client --output-file tests/integration/clients/$$client.lock; \
	done

.PHONY: clean
clean: ## what was built or measured here; the home (.plumbline) stays
	rm -rf $(VENV) .venv-bench build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# A stamp is touched last, so an install that was interrupted is done again.
$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing requirements.lock into $(VENV) (once)"
	@$(PIP) install --require-hashes --no-deps -r requirements.lock
	@$(PIP) install --no-deps --no-index --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing requirements-dev.lock into $(VENV) (once)"
	@$(PIP) install --require-hashes --no-deps -r requirements-dev.lock
	@$(PIP) install --no-deps --no-index --no-build-isolation --editable .
	@touch $(VENV)/.runtime $@

$(BIN)/python:
	@found=; for candidate in $(PYTHON); do \
		"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		found="$$found $$candidate"; \
		"$$candidate" -c 'import ensurepip, venv' 2>/dev/null || continue; \
		"$$candidate" -m venv --clear $(VENV); exit 0; \
	done; \
	if [ -n "$$found" ]; then \
		echo "make:$$found cannot make a virtual environment (no ensurepip), expected Python's venv; on Debian: apt-get install python3-venv" >&2; \
	else \
		echo "make: none of '$(PYTHON)' is Python 3.11 or newer; install one, or name it: make up PYTHON=/path/to/python" >&2; \
	fi; exit 1
