# Everything goes into .venv; nothing else on the machine is touched, except that `make install`
# installs GnuPG with apt-get when it is missing and you are root, and `make test` and `make screenshots`
# a Chromium likewise, and `make test-long` a RabbitMQ.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LOCKING := build/lock

.DEFAULT_GOAL := help
.PHONY: help install demo test test-long fuzz lint format chaos bench bench-growth screenshots lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: ## everything into .venv, from requirements.lock
	@$(PYTHON) -m tools.bootstrap $(VENV)

demo: install ## back up a whole embedded NightScan, destroy it, put it back, and compare
	@$(BIN)/nightscan demo

test: install ## what each change must pass, with real servers, in less than ten minutes
	@$(PYTHON) -m tools.browser
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -m "not long"

test-long: install ## whole stories: kills, chaos, disasters, hosts cut off, the demo, containers
	@$(PYTHON) -m tools.rabbitmq
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -m long

fuzz: install ## any bytes and values, for FUZZ_MINUTES (10), from FUZZ_SEED on
	@$(BIN)/python -m tools.fuzz

lint: install ## ruff, mypy --strict, import contracts
	@failed=0; for check in "ruff check ." mypy lint-imports; do \
	    echo "$$check"; $(BIN)/$$check || failed=1; done; exit $$failed

format: install ## let ruff mend what it can
	$(BIN)/ruff check --fix .

chaos: install ## a hundred runs with random faults, checked against a model; SEED=… repeats one, RUNS=…
	@$(BIN)/python -m chaos $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS))

bench: install ## how fast and how small, against what a user would use instead; BENCH=database, …
	@$(BIN)/python -m benchmarks $(BENCH)

bench-growth: install ## how time and memory grow, to 10 GB and a million files: half an hour, 24 GB of disk
	@$(BIN)/python -m benchmarks growth

screenshots: install ## the pictures in docs/images, from a simulated past; SHOTS=… takes some
	@$(PYTHON) -m tools.browser
	@$(BIN)/python -m tools.screenshots $(SHOTS)

lock: ## renew requirements.lock from pyproject.toml; UPGRADE=1 takes newer versions too
	@$(PYTHON) -m tools.bootstrap --bare $(LOCKING)
	@$(LOCKING)/bin/python -m pip install --quiet --disable-pip-version-check pip-tools
	@$(LOCKING)/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	    --all-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	    $(if $(UPGRADE),--upgrade) --output-file requirements.lock pyproject.toml

clean: ## remove what make made
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .import_linter_cache .hypothesis
