# Two commands are all a newcomer needs: `make demo` and `make test`. `make help` lists the rest.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests wait for processes as much as they compute.
JOBS ?= $(shell echo $$(($$(nproc) * 3 / 2)))
PACKAGES := swarmscope endhost_sdk coordinator feedback_server monitor_platform feedback_wire

.PHONY: help setup setup-tests demo olympics test soak check bench clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(VENV)/.ready ## a virtual environment with everything the servers need

$(VENV)/.ready: pyproject.toml constraints.txt tools/setup.sh
	PYTHON=$(PYTHON) tools/setup.sh $(VENV)
	touch $@

setup-tests: setup ## what the tests need beside it: a browser, zstd
	tools/setup-tests.sh

demo: setup ## the whole pipeline with a simulated audience, on this machine; Ctrl-C ends it
	@$(BIN)/swarmscope demo $(ARGS)

olympics: setup ## the paper's figures again from its whole event, simulated: ten minutes of processor time, 3 GB
	$(BIN)/python examples/olympics/reproduce.py olympics-out $(ARGS)

test: setup-tests ## every test, the browser's too
	$(BIN)/python -m compileall -q $(PACKAGES)
	$(BIN)/pytest -n $(JOBS) --dist loadfile $(ARGS)

soak: setup-tests ## the long versions of the promises, about half an hour on two idle cores
	$(BIN)/pytest -m soak -n 2 $(ARGS)

check: setup ## style, types, import rule
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup ## the figures that the documentation quotes, measured here
	tools/setup-bench.sh
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## forget the environment and all that was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
