# `make demo` and `make test` do all set-up themselves: a virtual environment with pinned dependencies.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench experiments body clean help

help:
	@echo "make demo         what a preset sees of synthetic people, a short training, pictures in runs/demo"
	@echo "make test         lint, import contracts and all tests"
	@echo "make bench        timings, each beside what it is compared with"
	@echo "make experiments  the measurements of docs/results.md (needs the datasets, takes hours)"
	@echo "make body         builds the default body again from MakeHuman's assets"

# The stamp is newer than both files when the environment is up to date.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "hpe needs Python 3.11, 3.12 or 3.13; call make with PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

# People that nobody trained on, as the preset sees them; then the programs of the real job, on synthetic people.
DEMO := runs/demo
demo: $(VENV)/.installed
	rm -rf $(DEMO)
	$(BIN)/python -m create_datasets --synthetic_val=100 --synthetic_heading=70 --data_dir=$(DEMO)/data
	$(BIN)/python -m validate_checkpoint --checkpoint=lightning --data_dir=$(DEMO)/data --val_datasets=synthetic_val --output=$(DEMO)/lightning --num_panels=10
	@echo "look at what the preset lightning sees, without any training: $(DEMO)/lightning/samples.png (every tenth person)"
	@echo "now a small network learns the same job from nothing, in some minutes"
	$(BIN)/python -m create_datasets --synthetic=3000 --synthetic_mocap=1500 --synthetic_heading=70 --data_dir=$(DEMO)/data
	$(BIN)/python -m train --flagfile=configs/demo.cfg --data_dir=$(DEMO)/data --model_dir=$(DEMO)/training
	$(BIN)/python -m validate_checkpoint --checkpoint=$(DEMO)/training --output=$(DEMO) --num_panels=10
	@echo "look at the pictures: $(DEMO)/samples.png (every tenth person of those not trained on), $(DEMO)/best.png, $(DEMO)/worst.png; $(DEMO)/lightning/ has the same people by the preset"

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

# One process per core, but no more than memory is needed for; `pytest` on its own runs in one.
test: lint
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.bench

experiments: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,bench]'
	$(BIN)/python -m benchmarks.ablation --size=overfit --resume
	$(BIN)/python -m benchmarks.ablation --size=full --resume

body: $(VENV)/.installed
	$(BIN)/python tools/build_default_body.py

clean:
	rm -rf $(VENV) build dist src/*.egg-info
