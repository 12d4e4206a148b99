# Two commands are all a newcomer needs: `make demo` and `make test`. `make help` lists the rest.
.DEFAULT_GOAL := help
# Another Python (make test PYTHON=python3.13) gets an environment of its own. The names of the stamps hold the version too, so
# that an environment which an older python3 made is made anew.
PYTHON ?= python3
PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV := $(if $(filter python3,$(PYTHON)),.venv,.venv-$(PYTHON_VERSION))
BIN := $(VENV)/bin
DEMO_READY := $(VENV)/.ready-demo-$(PYTHON_VERSION)
READY := $(VENV)/.ready-$(PYTHON_VERSION)
REQUIREMENTS := pyproject.toml locks/build.txt locks/all.txt locks/dev.txt tools/setup.sh tools/debian.sh
# Tests wait for processes as much as they compute.
JOBS ?= $(shell echo $$(($$(nproc) * 3 / 2)))
PACKAGES := swarmscope overlay netlab endhost_sdk coordinator feedback_server monitor_platform feedback_analysis serving feedback_wire

.PHONY: help setup setup-demo setup-tests demo olympics test soak check bench lock wheel clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(READY) ## a virtual environment with everything that developing needs

$(READY): $(REQUIREMENTS)
	PYTHON=$(PYTHON) tools/setup.sh $(VENV) locks/dev.txt
	touch $(DEMO_READY) $@

setup-demo: $(DEMO_READY) ## a virtual environment with what the demo and the servers need, and no more

$(DEMO_READY): $(REQUIREMENTS)
	PYTHON=$(PYTHON) tools/setup.sh $(VENV) locks/build.txt locks/all.txt
	touch $@

setup-tests: setup ## what the tests need beside it: a browser, zstd
	tools/setup-tests.sh

demo: setup-demo ## the whole pipeline with a simulated audience, on this machine; Ctrl-C ends it
	@$(BIN)/swarmscope demo $(ARGS)

olympics: setup-demo ## the paper's figures again from its whole event, simulated: ten minutes of processor time, 3 GB
	$(BIN)/python examples/olympics/reproduce.py olympics-out $(ARGS)

test: setup-tests ## every test, the browser's too; with another Python: make test PYTHON=python3.13
	$(BIN)/python -m compileall -q $(PACKAGES)
	$(BIN)/pytest -n $(JOBS) --dist loadfile $(ARGS)

soak: setup-tests ## the long versions of the promises, about half an hour on two idle cores
	$(BIN)/pytest -m soak -n 2 $(ARGS)

check: setup ## style, types, import rule, JavaScript
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@# Its package has a binary for x86-64 Linux only.
	@if [ -x $(BIN)/biome ]; then $(BIN)/biome lint --error-on-warnings; else echo "not checked here: JavaScript"; fi

bench: setup ## the figures that the documentation quotes, measured here
	tools/setup-bench.sh
	$(BIN)/python -m benchmarks $(ARGS)

lock: ## locks/*.txt anew, after a change of pyproject.toml or constraints.txt
	PYTHON=$(PYTHON) tools/setup.sh $(VENV) locks/build.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	tools/lock.sh $(BIN)/python

wheel: ## dist/swarmscope-….whl, which pip installs on other machines
	PYTHON=$(PYTHON) tools/setup.sh $(VENV) locks/build.txt
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/swarmscope-*.whl

clean: ## forget the environments and all that was built
	rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
