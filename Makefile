# The index of everything that can be done here: `make help`.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DEMO   ?= demo
SOURCES ?= ../shared/data
OUT    ?= datasets
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test lint types bench datasets clean

help: ## Show what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# a stale environment (changed pyproject or constraints) is brought up to date; a missing one is made
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,compress,dev]'
	@touch $@

demo: $(STAMP) ## Make a small corpus, two datasets, three networks and a report that compares them
	@PATH="$(abspath $(BIN)):$$PATH" sh demo.sh $(DEMO)

test: $(STAMP) ## Run the whole test suite
	$(BIN)/python -m pytest --numprocesses 2

lint: $(STAMP) ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## Check types
	$(BIN)/mypy

bench: $(STAMP) ## Measure speed and memory against floors taken in the same run
	@for file in bench/bench_*.py; do $(BIN)/python $$file || exit 1; done

datasets: $(STAMP) ## Build every shipped manifest whose corpus is under SOURCES into OUT
	$(BIN)/at-prepare datasets --sources $(SOURCES) --out $(OUT)

clean: ## Remove everything made here but the environment and your datasets
	rm -rf $(DEMO) bench/work build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
