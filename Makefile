# Two commands: `make train` (the main job) and `make test`. Each creates .venv and installs into it if that is not done yet.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: train test slow lint bench docs leaderboard clean help

help:           ## list these commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

train: $(VENV)/.installed  ## train a language model on the double integrator (SFT, GRPO, evaluation): four to thirteen minutes on two cores
	$(BIN)/python -m llm_agent.train_grpo $(ARGS)

test: $(VENV)/.installed   ## the test suite, two files at a time: five to twenty-five minutes on two cores
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile $(ARGS)

slow: $(VENV)/.installed   ## the tests that train for minutes, two files at a time
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile $(ARGS)

lint: $(VENV)/.installed   ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed  ## the benchmarks
	@echo "Installing what the benchmarks compare with (do-mpc) into $(VENV)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks

docs: $(VENV)/.installed   ## the site, into site/ (to read it: .venv/bin/mkdocs serve)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

leaderboard: $(VENV)/.installed  ## the leaderboard of benchmarks/results, into the documentation
	$(BIN)/python -m llm_agent.leaderboard --output docs/leaderboard.html | $(BIN)/python docs/insert.py docs/benchmark.md leaderboard

clean:          ## remove what was installed
	rm -rf $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo "Installing control-grpo and its dependencies (torch, transformers, TRL, ...) into $(VENV): two to three minutes"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	touch $@
