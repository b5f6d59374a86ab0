# demo, test, lint and bench set up everything they need by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEV_INSTALLED := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench docs clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(INSTALLED) ## rehearse the quick-start pair on a real IPVS kernel
	@PYTHON=$(PYTHON) scripts/debian-packages demo
	$(BIN)/hadirector rehearse configs/quickstart.yaml

test: $(DEV_INSTALLED) ## the tests: unit, interop, kernel, end to end
	@PYTHON=$(PYTHON) scripts/debian-packages test
	$(BIN)/python -m pytest $(ARGS)

lint: $(DEV_INSTALLED) ## ruff, mypy --strict, codespell
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell .

format: $(DEV_INSTALLED) ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV_INSTALLED) ## measure against the packaged peers, side by side
	@PYTHON=$(PYTHON) scripts/debian-packages test
	$(BIN)/python -m tests.bench $(ARGS)

docs: $(INSTALLED) ## regenerate what is made from the models
	$(BIN)/python -m hadirector.config.generate

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

$(INSTALLED): pyproject.toml
	@PYTHON=$(PYTHON) scripts/debian-packages lint
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(DEV_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
