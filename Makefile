# make demo and make test work on a fresh clone with Python 3.11 or newer and make.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
AWSCLI := .venv-awscli
AXE    := tests/browser/node_modules/axe-core/axe.min.js

.DEFAULT_GOAL := help
.PHONY: help demo test programs lint format unit simulate kills scale launches mutants large conformance bench pictures lambda constraints clean

help: ## What there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.runtime ## Release configs/shop to the embedded sandbox
	$(BIN)/orchestrator apply configs/shop/release.yaml --environment staging --sandbox

test: ## Everything that must hold: lint, types, imports, tests
	$(MAKE) --jobs 4 programs lint $(AWSCLI)/.installed $(AXE)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses 2 tests/unit tests/contract
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --skip-empty --fail-under=80
	$(BIN)/pytest --numprocesses 2 tests/simulation
	ORCHESTRATOR_TEST_AWS=$(CURDIR)/$(AWSCLI)/bin/aws $(BIN)/pytest --numprocesses 6 tests/acceptance

# Real programs that tests meet, as command:package. Without bubblewrap the tests that run hooks are skipped, and say so; where
# CI is set they fail. Debian's packages of servers would start them: RUNLEVEL=1 says that they aren't wanted.
PROGRAMS := bwrap:bubblewrap prometheus:prometheus prometheus-pushgateway:prometheus-pushgateway \
	prometheus-alertmanager:prometheus-alertmanager chromium:chromium tmux:tmux npm:npm
APT := DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install --yes --quiet=2 --no-install-recommends

programs: ## Installs the programs that tests meet, where they are missing and apt-get may
	@missing=$$(for each in $(PROGRAMS); do command -v $${each%%:*} >/dev/null || echo $${each##*:}; done); \
	test -z "$$missing" || { apt-get update --quiet=2 && env $(APT) $$missing; } || \
		{ sudo -n apt-get update --quiet=2 && sudo -n env $(APT) $$missing; } || \
		echo "not installed, and can't be here:" $$missing "- tests that need them fail, or say that they are skipped" >&2

unit: $(VENV)/.installed ## The quick tests only
	$(BIN)/pytest tests/unit

SEEDS ?= 5000
simulate: $(VENV)/.installed ## Random runs in virtual time, SEEDS of them; prints how to play one again that failed
	$(BIN)/python tests/simulate.py --seeds $(SEEDS)

KILLS ?= 50
LAUNCH_KILLS ?= 12
kills: $(VENV)/.installed ## Kills the command KILLS times, over a network that cuts, and goes on elsewhere; make test does 20
	ORCHESTRATOR_KILLS=$(KILLS) $(BIN)/pytest --capture=no tests/acceptance/test_kills.py

scale: $(VENV)/.installed ## What launched runs cost, from 10 targets to 1,000 in 100 accounts, in virtual time: the tables of docs/scale.md
	$(BIN)/python tests/scale.py

launches: $(VENV)/.installed $(AWSCLI)/.installed ## The durable function loses LAUNCH_KILLS workers in the middle of steps, and one at each boundary
	ORCHESTRATOR_LAUNCH_KILLS=$(LAUNCH_KILLS) ORCHESTRATOR_TEST_AWS=$(CURDIR)/$(AWSCLI)/bin/aws \
		$(BIN)/pytest --capture=no tests/acceptance/test_launch.py -k lost

mutants: $(VENV)/.installed ## Breaks the engine in one place at a time: the simulation must notice, each time
	$(BIN)/python tests/mutants.py

large: $(VENV)/.installed ## Packs a file of 4.5 GB in every format, for tar, gunzip, unzip and Python to judge
	$(BIN)/python tests/large.py

conformance: $(VENV)/.installed ## The verdicts of bundle check next to the agent's, by topic
	PYTHONPATH=tests $(BIN)/python -W ignore -m conformance.score

pictures: $(VENV)/.installed ## Draws docs/images anew; a test says when that is due
	PYTHONPATH=tests $(BIN)/python -m pictures

lint: $(VENV)/.installed ## Style, types, and the one-way imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.installed ## Formats the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed $(AWSCLI)/.installed ## Figures, each next to its baseline; no tests
	ORCHESTRATOR_TEST_AWS=$(CURDIR)/$(AWSCLI)/bin/aws $(BIN)/python -m tests.benchmarks

LAMBDA_PYTHON ?= 3.13
LAMBDA_ARCHITECTURE ?= arm64
lambda: $(VENV)/.runtime ## Packs the durable function into dist/orchestrator-lambda.zip, for LAMBDA_PYTHON and LAMBDA_ARCHITECTURE
	$(BIN)/python tools/lambda_zip.py --python $(LAMBDA_PYTHON) --architecture $(LAMBDA_ARCHITECTURE)

constraints: $(VENV)/.installed ## Writes the constraint files anew, from the newest versions that pyproject.toml allows
	$(BIN)/python tests/pin.py

clean: ## Takes away what make has made
	rm -rf $(VENV) $(AWSCLI) tests/browser/node_modules build dist *.egg-info .mypy_cache .ruff_cache .hypothesis .coverage

# Only what the command needs: the demo doesn't wait for test tools.
$(VENV)/.runtime: pyproject.toml constraints/runtime.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints/runtime.txt --editable .
	$(BIN)/python -m compileall -q orchestrator
	touch $@

$(VENV)/.installed: pyproject.toml constraints/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints/dev.txt --editable '.[test]'
	$(BIN)/python -m compileall -q orchestrator
	touch $@ $(VENV)/.runtime

# The stock AWS CLI pins a botocore of its own.
$(AWSCLI)/.installed: constraints/awscli.txt
	$(PYTHON) -m venv $(AWSCLI)
	$(AWSCLI)/bin/pip install --quiet --disable-pip-version-check --constraint constraints/awscli.txt awscli
	touch $@

# Its version stands in package.json. No scripts: a package has nothing to run here.
$(AXE): tests/browser/package.json
	npm install --prefix tests/browser --silent --no-package-lock --no-audit --no-fund --ignore-scripts && touch $@ || \
		echo "not installed: axe-core; the test that needs it fails" >&2
