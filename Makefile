# One .venv serves every target. It is made by plain pip from constraints.txt, and made again only
# when pyproject.toml or constraints.txt change; paths stay relative, so any directory will do.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WHEEL_VENV := build/wheel-venv
INSTALL := pip install --quiet --disable-pip-version-check -c constraints.txt
ARTICLE := serving/tocsin_serving/demo/article.txt

# The first interpreter that runs and that we support: a name on the PATH can be a shim of pyenv's
# that leads nowhere. `make PYTHON=/path/to/python3.12 …` overrides.
SUPPORTED := import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for name in python3.11 python3 python3.12 python3.13; do \
	"$$name" -c '$(SUPPORTED)' >/dev/null 2>&1 && { echo "$$name"; break; }; done)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo serve test check check-slow lint format lock corpus bench bench-batch bench-summariser bench-http bench-ray bench-overload soak measure ablation gate accept bento clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## read one conflict article and print what Tocsin says of it
	@$(BIN)/tocsin analyse $(ARTICLE)

serve: $(STAMP) ## answer over HTTP on 127.0.0.1:3000
	@$(BIN)/tocsin serve

# Two files of tests at a time: half of what they do is waiting for servers to start and stop.
PYTEST := python -m pytest -n 2 --dist loadfile

test: $(STAMP) ## run the tests
	@$(BIN)/$(PYTEST) -m "not slow"

check: lint ## formatting, lint and types, then the tests
	$(BIN)/$(PYTEST) -m "not slow"

# The wheel goes into an environment of its own: with the core dependencies alone it must read an
# article from outside the repository, and with the extras it must pass the tests.
check-slow: lint ## check with the slow tests, then again on the installed wheel
	$(BIN)/python -m pytest
	rm -rf dist $(WHEEL_VENV)
	$(BIN)/python -m hatchling build -t wheel -d dist
	$(BIN)/python -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python -m $(INSTALL) dist/*.whl
	root=$$PWD && cd / && "$$root/$(WHEEL_VENV)/bin/tocsin" analyse "$$root/$(ARTICLE)"
	$(WHEEL_VENV)/bin/python -m $(INSTALL) "$$(echo dist/*.whl)[serve,training,eval,cluster,dev]"
	$(WHEEL_VENV)/bin/$(PYTEST) -m "not slow"

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP) ## format the code and mend what lint can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(BIN)/python ## resolve the newest versions again into constraints.txt
	$(BIN)/python .ci/lock.py

corpus: $(STAMP) ## check the corpus and count it: the tables in training/README.md
	@$(BIN)/python -m tocsin_training.corpus

bench: $(STAMP) ## measure speed against the transformers pipeline
	@$(BIN)/python -m tocsin_eval.bench

bench-batch: $(STAMP) ## measure the batch scorer beside datasets.map with the pipeline
	@$(BIN)/python -m tocsin_eval.bench_batch

bench-summariser: $(STAMP) ## measure the summariser beside the classifier and beside torch
	@$(BIN)/python -m tocsin_eval.bench_summariser

bench-http: $(STAMP) ## measure the service beside a plain BentoML service
	@$(BIN)/python -m tocsin_eval.bench_http

bench-overload: $(STAMP) ## offer the service three times what it can do, for a minute
	@$(BIN)/python -m tocsin_eval.bench_overload

bench-ray: $(STAMP) ## measure the cluster engine beside the embedded one
	@$(BIN)/python -m tocsin_eval.bench_ray

soak: $(STAMP) ## load the service for ten minutes and watch its memory
	@$(BIN)/python -m tocsin_eval.soak

# Real news and CNN/DailyMail, of which the text is not ours, lie beside the repository.
REAL := ../shared/data/real
NEWS := ../shared/data/cnndm
JOINED := runs/joined.jsonl
measure: $(STAMP) $(JOINED) ## measure quality on ../shared/data: the numbers of models/README.md
	@$(BIN)/tocsin evaluate default tfidf:training/corpus,training/contrast,$(REAL)/train.jsonl,$(JOINED) keywords \
		--data $(REAL)/dev.jsonl --out runs/measure-classifier
	@$(BIN)/tocsin evaluate default lead-3 textrank lexrank oracle --data $(NEWS)/val.jsonl.zst \
		--max-sentences 3 --no-cost --no-suites --out runs/measure-summariser

# The labels of training/standoff with their texts, where these are at hand.
STANDOFF := $(wildcard training/standoff/*.jsonl)
$(JOINED): $(STANDOFF) $(STAMP)
	@mkdir -p $(@D)
	@$(BIN)/tocsin train join $(STANDOFF) --texts $(NEWS)/train_cased.jsonl.zst $(NEWS)/train.jsonl.zst \
		../shared/data/unlabelled/government-and-events.jsonl.zst --out $@

PASSAGES := 10000
ablation: $(STAMP) $(JOINED) ## train the classifier without each of its parts: an hour on two cores
	@$(BIN)/python -m tocsin_training.ablation --train training/corpus/*.jsonl training/contrast/*.jsonl \
		$(REAL)/train.jsonl $(JOINED) --dev $(REAL)/dev.jsonl --config training/configs/classifier.yaml \
		--passages $(PASSAGES) --out runs/ablation

GOLDEN := eval/golden
gate: $(STAMP) ## hold the shipped models against those that were accepted last
	@$(BIN)/tocsin evaluate default tfidf:training/corpus keywords lead-3 textrank \
		--data $(GOLDEN)/golden.jsonl --gate $(GOLDEN)/gate.yaml --out runs/gate

accept: gate ## what passes the gate is what the next models are held against
	cp runs/gate/answers/default.jsonl $(GOLDEN)/incumbent.jsonl

bento: $(STAMP) ## build the Bento: our wheel, and what makes images of it
	rm -rf dist
	$(BIN)/python -m hatchling build -t wheel -d dist
	@$(BIN)/python serving/bento/build.py dist/*.whl

clean: ## remove the environment, builds and caches
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Tocsin needs Python 3.11, 3.12 or 3.13 with venv, and the PATH" \
		"has none of them. Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c '$(SUPPORTED)' || { echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13 with" \
		"venv; name another: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

# pip compiles on one core, and its packages' tests too: half of the installation. The packages
# hold templates that are no Python, so that compileall never ends with 0.
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Tocsin and its tools into $(VENV); the first time this takes a minute or two."
	@$(BIN)/python -m $(INSTALL) --no-compile -e ".[serve,training,eval,cluster,dev]"
	@$(BIN)/python -m compileall -qq -j 0 -x /tests/ $(VENV)/lib || true
	@touch $@
