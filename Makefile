# Everything goes into .venv; nothing else on the machine is touched, except that `make install`
# installs GnuPG with apt-get when it is missing and you are root.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format bench lock clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

install: $(INSTALLED) ## everything into .venv, from requirements.lock

$(INSTALLED): requirements.lock pyproject.toml tools/bootstrap.py
	@$(PYTHON) tools/bootstrap.py $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: install ## back up a whole embedded NightScan, destroy it, put it back, and compare
	@$(BIN)/nightscan demo

test: install ## all tests, with real servers, in a few minutes
	@$(BIN)/python -m pytest

lint: install ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install ## how fast and how small, against what a user would use instead
	@$(BIN)/python -m benchmarks

lock: install ## renew requirements.lock from pyproject.toml
	@$(PYTHON) -m venv --clear build/lock 2>/dev/null || $(PYTHON) tools/bootstrap.py build/lock
	@build/lock/bin/python -m pip install --quiet pip-tools
	@build/lock/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --all-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file requirements.lock pyproject.toml

clean: ## remove what make made
	rm -rf $(VENV) build .mypy_cache .ruff_cache .import_linter_cache
