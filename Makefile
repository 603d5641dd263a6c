# `make` alone lists what there is. Everything installs what it needs into .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Mailman, for the tests: it needs another SQLAlchemy than we do.
MAILMAN := $(VENV)/mailman
# What the bench compares us with.
VDIRSYNCER := $(VENV)/vdirsyncer

.DEFAULT_GOAL := help
.PHONY: help demo test quick fmt bench clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/'

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(MAILMAN)/.ready: tests/fakes/mailman-constraints.txt
	@{ $(PYTHON) -m venv $(MAILMAN) && $(MAILMAN)/bin/python -m pip install --quiet \
	  --disable-pip-version-check --retries 1 -c $< mailman && touch $@; } \
	  || true  # its tests say that they are left out, or fail in CI

$(VDIRSYNCER)/.ready: bench/beside/vdirsyncer-constraints.txt
	$(PYTHON) -m venv $(VDIRSYNCER)
	$(VDIRSYNCER)/bin/python -m pip install --quiet --disable-pip-version-check -c $< vdirsyncer
	@touch $@

demo: $(READY)  ## the whole thing against a simulated Planfix, on this machine alone
	@$(BIN)/syncd demo

test: $(READY) $(MAILMAN)/.ready  ## lint, types, import contracts and all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto

quick: $(READY)  ## the tests of the pure rooms, in seconds
	$(BIN)/pytest tests/core tests/engine tests/wire

fmt: $(READY)  ## put the code into its form
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(READY) $(VDIRSYNCER)/.ready  ## the figures of the README, as ratios measured in one run
	$(BIN)/python -m bench

clean:  ## remove what was built
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
