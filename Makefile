# `make help` lists the targets. A machine needs Python 3.11 or later (with venv and pip) and make, nothing else.

# The Python that makes .venv; `make setup PYTHON=/path/to/python3` chooses another. Only looked for when needed.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$name -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; \
	done)
RUN := .venv/bin/python
# What to test and how: `make test ARGS="tests/ledger -x"`.
ARGS ?=
# What to measure: `make bench BENCH=webhooks`.
BENCH ?= posting callbacks webhooks books overload memory life promotions guessing reconciliation
# How many histories `make simulate` lives through.
SEEDS ?= 1000
# Processes that share the tests between them, file by file, each with a PostgreSQL of its own; `make test JOBS=0` for one.
JOBS ?= auto

INSTALLED := .venv/.installed
STUBS := build/protos/daftari/v1/__init__.py
PROTOS := $(wildcard protos/daftari/v1/*.proto) protos/hatch_build.py

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test test-postgres simulate simulate-long torture loans-long proof-long lint lint-style lint-types lint-imports format bench protos clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) $(STUBS) ## Make .venv with everything in it; quick when nothing changed
	@:

demo: setup ## Payouts, a loan and a promotion through the books and simulated rails, with the proof that all is named
	@.venv/bin/daftari demo

serve: setup ## Run the service with demonstration books and a simulated rail, until Ctrl-C
	@.venv/bin/daftari serve --sandbox

test: setup ## Run the tests; ARGS="tests/ledger -x" narrows them
	@$(RUN) -m pytest -n $(JOBS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

test-postgres: setup ## Run the database tests on a temporary PostgreSQL of this machine's packages
	@.ci/postgres $(RUN) -m pytest -n $(JOBS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder -p tests.only_database $(ARGS)

lint: lint-style lint-types lint-imports ## Check style, format, types and the direction of imports

lint-style: setup
	@$(RUN) -m ruff check
	@$(RUN) -m ruff format --check

lint-types: setup
	@$(RUN) -m mypy

lint-imports: setup
	@.venv/bin/lint-imports --no-logo

format: setup ## Write the format that lint checks
	@$(RUN) -m ruff check --fix
	@$(RUN) -m ruff format

simulate: setup ## Live SEEDS histories of a world that tries to lose money, in JOBS processes
	@$(RUN) -m tests.simulation --seeds $(SEEDS) --jobs $(if $(filter auto,$(JOBS)),2,$(JOBS)) $(ARGS)

simulate-long: setup ## 40,000 histories, of payouts, money in, promotions and statements, 2,000 calm ones, all planted bugs: the tables of docs/simulation
	@mkdir -p docs/simulation
	@$(RUN) -m tests.simulation --seeds 10000 --report docs/simulation/stormy.md
	@$(RUN) -m tests.simulation --seeds 2000 --calm --report docs/simulation/calm.md
	@$(RUN) -m tests.simulation --bugs --seeds 500 --report docs/simulation/planted-bugs.md
	@$(RUN) -m tests.simulation --collections --seeds 10000 --report docs/simulation/collections.md
	@$(RUN) -m tests.simulation --collections --bugs --seeds 500 --report docs/simulation/planted-bugs-of-collections.md
	@$(RUN) -m tests.simulation --promotions --seeds 10000 --report docs/simulation/promotions.md
	@$(RUN) -m tests.simulation --promotions --bugs --seeds 500 --report docs/simulation/planted-bugs-of-promotions.md
	@$(RUN) -m tests.simulation --statements --seeds 10000 --report docs/simulation/statements.md
	@$(RUN) -m tests.simulation --statements --bugs --seeds 500 --report docs/simulation/planted-bugs-of-statements.md

torture: setup ## Every order of steps, cuts at COMMIT, crashes, races, kill -9: the tables of docs/simulation/torture.md
	@mkdir -p docs/simulation
	@$(RUN) -m tests.torture --report docs/simulation/torture.md $(ARGS)

loans-long: setup ## 10,000 random lives of loans through the database: the table of docs/loans.md
	@$(RUN) -m tests.ledger.loans --lives 10000 --report docs/loans.md $(ARGS)

bench: setup ## Measure posting, books, overload and the rest on this machine; BENCH=webhooks for one of them
	@for which in $(BENCH); do $(RUN) -m tests.benchmarks $$which || exit 1; done

protos: setup ## Make the Python modules of protos/ anew
	@$(RUN) protos/hatch_build.py

proof-long: setup ## 1,000 random edits by a superuser, one by one and together, and 100,000 entries: the tables of docs/proof.md
	@$(RUN) -m tests.ledger.proof --report docs/proof.md $(ARGS)

clean: ## Remove everything made here but the books in .daftari
	@rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	@find ledger adapters api migrations protos tests -name __pycache__ -prune -exec rm -rf {} +

# Both bind the environment in which pip builds the stubs: older pips read the one, newer ones the other.
$(INSTALLED): export PIP_CONSTRAINT := constraints.txt
$(INSTALLED): export PIP_BUILD_CONSTRAINT := constraints.txt
$(INSTALLED): export PIP_DISABLE_PIP_VERSION_CHECK := 1
$(INSTALLED): pyproject.toml constraints.txt
	@python='$(PYTHON)'; if [ -z "$$python" ]; then \
		echo 'Daftari needs Python 3.11 or later with venv and pip, and found none here.' >&2; \
		echo 'Install it (Debian and Ubuntu: apt install python3 python3-venv), or name it: make setup PYTHON=/path/to/python3' >&2; \
		exit 1; fi; \
	if ! "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "Daftari needs Python 3.11 or later, and $$python is not that." >&2; exit 1; fi; \
	[ -x .venv/bin/pip ] || { echo "Making .venv with $$("$$python" --version)"; "$$python" -m venv .venv; }
	@echo 'Installing into .venv: a minute or so the first time'
	@$(RUN) -m pip install -qq -c constraints.txt -e '.[dev]'
	@touch $@

$(STUBS): $(PROTOS) | $(INSTALLED)
	@$(RUN) protos/hatch_build.py
