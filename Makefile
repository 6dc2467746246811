# The index of everything that can be done here: `make help`.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DEMO   ?= demo
SEED   ?= 1
COUNT  ?=
SOURCES ?= ../shared/data
OUT    ?= datasets
STAMP  := $(VENV)/.installed
# where it stands after a `=` some shells leave a tilde as it is, and quotes keep it from those that recipes run in
override DEMO := $(patsubst ~/%,$(HOME)/%,$(DEMO))
# a sixteenth of the paper's VGG16, so that a laptop trains it in a minute
DEMO_FIT := --width 0.0625 --epochs 25

.DEFAULT_GOAL := help
.PHONY: help demo test lint types bench fuzz datasets clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-12s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# a stale environment (changed pyproject or constraints) is brought up to date; a missing one is made
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	@echo 'installing into $(VENV): a few minutes the first time'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,compress,dev]'
	@touch $@

demo: export PATH := $(abspath $(BIN)):$(PATH)
demo: $(STAMP) ## Make a small corpus, two datasets, three networks and a report that compares two of them
	@rm -rf '$(DEMO)'
	@echo '[1/6] a corpus: 20 synthetic voices say ten digits; the training voices mostly keep to digits of their own'
	at-prepare synth '$(DEMO)'/corpus --speakers 20 --takes 5 --correlation 0.8
	@echo '[2/6] two datasets: which digit is said, by voices never heard in training; and which training voice says it'
	at-prepare synth_digits --source '$(DEMO)'/corpus --out '$(DEMO)'/datasets --only synth_word_by_speaker --only synth_speaker
	@echo '[3/6] a network that knows the voices'
	at-train fit '$(DEMO)'/datasets/synth_speaker-* --out '$(DEMO)'/runs/speaker $(DEMO_FIT) --seed 2
	@echo '[4/6] a plain network for the digits'
	at-train fit '$(DEMO)'/datasets/synth_word_by_speaker-* --out '$(DEMO)'/runs/plain $(DEMO_FIT) --seed 1
	@echo '[5/6] the same, kept unlike the voice network by anti-transfer at its fifth layer'
	at-train fit '$(DEMO)'/datasets/synth_word_by_speaker-* --out '$(DEMO)'/runs/anti $(DEMO_FIT) --seed 1 \
	  --strategy anti --orthogonal '$(DEMO)'/runs/speaker --layer conv5
	@echo '[6/6] the report'
	at-train report '$(DEMO)'/runs/plain '$(DEMO)'/runs/anti --out '$(DEMO)'/report

test: $(STAMP) ## Run the whole test suite
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: $(STAMP) ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## Check types
	$(BIN)/mypy

bench: $(STAMP) ## Measure speed and memory against floors taken in the same run
	@for file in bench/bench_*.py; do $(BIN)/python $$file || exit 1; done

fuzz: $(STAMP) ## Give every reader damaged and hostile inputs made of SEED: as many as in the test suite, or COUNT
	cd tests && '$(abspath $(BIN))'/python -m fuzz --seed $(SEED) $(COUNT:%=--count %)

datasets: $(STAMP) ## Build every shipped manifest whose corpus is under SOURCES into OUT
	$(BIN)/at-prepare datasets --sources '$(SOURCES)' --out '$(OUT)'

clean: ## Remove everything made here but the environment and your datasets
	rm -rf '$(DEMO)' bench/work build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
