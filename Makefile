# The two most important commands are `make demo` and `make test`. `make help` lists all of them.
.DEFAULT_GOAL := help
# Each Python version has its own environment (make test PYTHON=python3.13). The names of the stamps contain the version, so an
# environment of an older python3 is created again.
PYTHON ?= python3
PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV := $(if $(filter python3,$(PYTHON)),.venv,.venv-$(PYTHON_VERSION))
BIN := $(VENV)/bin
DEMO_READY := $(VENV)/.ready-demo-$(PYTHON_VERSION)
READY := $(VENV)/.ready-$(PYTHON_VERSION)
REQUIREMENTS := pyproject.toml locks/build.txt locks/all.txt locks/dev.txt tools/setup.sh tools/debian.sh
# Tests wait for processes half of the time.
JOBS ?= $(shell echo $$(($$(nproc) * 2)))
PACKAGES := swarmscope overlay measurement qoe_lab netlab endhost_sdk coordinator feedback_server monitor_platform feedback_analysis serving feedback_wire

.PHONY: help setup setup-demo setup-tests demo olympics test soak check bench lock wheel clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(READY) ## create a virtual environment for development

$(READY): $(REQUIREMENTS)
	PYTHON=$(PYTHON) tools/setup.sh $(VENV) locks/dev.txt
	touch $(DEMO_READY) $@

setup-demo: $(DEMO_READY) ## create a virtual environment for the demo and the servers only

$(DEMO_READY): $(REQUIREMENTS)
	PYTHON=$(PYTHON) tools/setup.sh $(VENV) locks/build.txt locks/all.txt
	touch $@

setup-tests: setup ## install what the tests need in addition: a browser, zstd, strace
	tools/setup-tests.sh

demo: setup-demo ## run the whole pipeline with a simulated audience on this machine, until Ctrl-C
	@$(BIN)/swarmscope demo $(ARGS)

olympics: setup-demo ## reproduce the paper's figures from a simulation of its event (10 minutes of processor time, 3 GB)
	$(BIN)/python examples/olympics/reproduce.py olympics-out $(ARGS)

test: setup-tests ## run the quick tests, including those in the browser; with another Python: make test PYTHON=python3.13
	$(BIN)/python -m compileall -q $(PACKAGES)
	@# With byte code, each worker collects the tests in half of the time.
	-$(BIN)/python -m tests.harness.byte_code
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n $(JOBS) --dist loadfile $(ARGS)

soak: setup-tests ## run the long versions of the tests (about half an hour on two idle cores)
	$(BIN)/pytest -m soak -n 2 $(ARGS)
	$(BIN)/pytest -m "hypothesis and not soak" --hypothesis-profile thorough -n 2 $(ARGS)

check: setup ## check style, types, import rules and JavaScript
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@# Biome needs no Node.js: its Python package has one binary, for x86-64 Linux only (rules: biome.json).
	@if [ -x $(BIN)/biome ]; then $(BIN)/biome lint --error-on-warnings; else echo "JavaScript is not checked on this machine"; fi

bench: setup ## measure the performance figures of the documentation on this machine
	tools/setup-bench.sh
	$(BIN)/python -m benchmarks $(ARGS)

lock: ## write locks/*.txt again, after a change of pyproject.toml or constraints.txt
	PYTHON=$(PYTHON) tools/setup.sh $(VENV) locks/build.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	tools/lock.sh $(BIN)/python

wheel: ## build dist/swarmscope-….whl, to install Swarmscope on other machines with pip
	PYTHON=$(PYTHON) tools/setup.sh $(VENV) locks/build.txt
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/swarmscope-*.whl

clean: ## delete the environments and all build results
	rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
