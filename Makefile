# `make demo`, `make studio` and `make test` work from a fresh clone: they install into .venv first, once.
# Nothing needs root, and nothing is written outside this folder (but for pip's own cache).

PYTHON := $(shell for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; \
	done)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo studio test test-all lint clean

demo: .venv/installed
	$(BIN)/mirrornet demo

studio: .venv/installed-studio
	$(BIN)/mirrornet studio

test: .venv/installed-dev
	$(BIN)/python -m pytest --numprocesses auto -m "not slow"

test-all: test
	$(BIN)/python -m pytest --numprocesses auto -m slow --durations 20

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

clean:
	rm -rf .venv *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; install it first."; exit 1; }
	@echo "Installing into .venv; this takes a few minutes, once."
	$(PYTHON) -m venv .venv
	$(INSTALL) torch==2.13.0
	$(INSTALL) --editable .
	@touch $@

.venv/installed-studio: .venv/installed
	$(INSTALL) --editable ".[studio]"
	@touch $@

.venv/installed-dev: .venv/installed
	$(INSTALL) --editable ".[dev,bench,dx7,vst,ray,studio]"
	$(INSTALL) --no-deps tinysoundfont pretty_midi
	@touch $@
