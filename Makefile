# Needs make, Python 3.11 or newer and Node 20.19 or newer; the locks bring all else.

PYTHON ?= python3
PYTEST_ARGS ?=
# How many tests run at a time: much of what they do is to wait. 0: in one process, as a debugger wants it.
TEST_PROCESSES ?= 2
SERVE_ARGS ?=
# What `make lock` may change: nothing that still fits, or with UPGRADE=--upgrade all.
UPGRADE ?=

VENV := .venv
BIN := $(VENV)/bin
WEB := frontend-demo
STATIC := server/syncline/web/static
NODE_TESTS := tests/node
# Whether there is a Node that can build the pages. The server runs without them.
NODE := $(shell node -e 'const [a, b] = process.versions.node.split("."); process.exit(a * 100 + +b < 2019 ? 1 : 0)' 2>/dev/null && echo yes)

RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed

# Wheels only: building a source package would download its build tools without hashes.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
INSTALL_LOCK := $(PIP_INSTALL) --require-hashes --only-binary :all: --requirement
INSTALL_SELF := $(PIP_INSTALL) --no-build-isolation --editable .

WEB_TESTS :=
ifneq ($(wildcard $(WEB)/package-lock.json),)
WEB_INSTALLED := $(WEB)/node_modules/.installed
WEB_BUILT := $(WEB)/node_modules/.built
WEB_SOURCES := $(shell find $(WEB) \( -name node_modules -o -name dist -o -name build \) -prune -o -type f -print)
WEB_TESTS := npm --prefix $(WEB) test
endif
ifneq ($(wildcard $(NODE_TESTS)/package-lock.json),)
NODE_TESTS_INSTALLED := $(NODE_TESTS)/node_modules/.installed
endif

.PHONY: help run test lint soak bench schema docs lock clean FORCE

help:
	@echo 'make run     start a server to try out, with its data in ./syncline-data (SERVE_ARGS="--port 9000")'
	@echo 'make test    lint, types and all tests but the long ones (PYTEST_ARGS="tests/unit -x", TEST_PROCESSES=0)'
	@echo 'make lint    lint and types only'
	@echo 'make soak    the long tests'
	@echo 'make bench   the benchmarks'
	@echo 'make schema  write schema.graphql anew'
	@echo 'make docs    write docs/configuration.md anew'
	@echo 'make lock    write the requirement locks anew (UPGRADE=--upgrade for newer versions)'
	@echo 'make clean   remove all that was made, but not ./syncline-data'

run: $(RUNTIME) $(if $(NODE),$(WEB_BUILT))
	exec $(BIN)/syncline serve --dev $(SERVE_ARGS)

test: lint $(WEB_BUILT) $(NODE_TESTS_INSTALLED)
	$(BIN)/pytest -n $(TEST_PROCESSES) --dist worksteal -m 'not soak' $(PYTEST_ARGS)
	$(WEB_TESTS)

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

soak: $(DEV) $(WEB_BUILT) $(NODE_TESTS_INSTALLED)
	HYPOTHESIS_PROFILE=soak $(BIN)/pytest -o timeout=3600 -m soak $(PYTEST_ARGS)
	HYPOTHESIS_PROFILE=soak $(BIN)/pytest -o timeout=3600 -m 'not soak' tests/property $(PYTEST_ARGS)
	SYNCLINE_SOAK=1 $(WEB_TESTS)

bench: $(DEV)
	$(BIN)/python -m tests.benchmarks

schema: $(RUNTIME)
	$(BIN)/syncline schema > schema.graphql.new
	mv schema.graphql.new schema.graphql

docs: $(RUNTIME)
	$(BIN)/syncline config --markdown > docs/configuration.md.new
	mv docs/configuration.md.new docs/configuration.md

COMPILE = build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock' $(UPGRADE)

lock: build/lock/.installed
	$(COMPILE) pyproject.toml requirements-build.in --output-file requirements.lock
	$(COMPILE) pyproject.toml requirements-build.in --group dev --constraint requirements.lock \
		--output-file requirements-dev.lock

clean:
	rm -rf $(VENV) build dist $(STATIC) $(NODE_TESTS)/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
	if [ -d $(WEB) ]; then find $(WEB) \( -name node_modules -o -name dist -o -name build \) -prune -exec rm -rf {} +; fi
	find server tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(RUNTIME): requirements.lock pyproject.toml $(VENV)/.made
	$(INSTALL_LOCK) requirements.lock
	$(INSTALL_SELF)
	touch $@

$(DEV): requirements-dev.lock pyproject.toml $(VENV)/.made
	$(INSTALL_LOCK) requirements-dev.lock
	$(INSTALL_SELF)
	$(BIN)/python -m pip check
	touch $@ $(RUNTIME)

build/lock/.installed: Makefile
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: 'uv>=0.9'
	touch $@

%/node_modules/.installed: %/package-lock.json
	node -e 'const [a, b] = process.versions.node.split("."); if (a * 100 + +b < 2019) throw "Node 20.19 or newer is needed"'
	cd $* && npm ci --no-audit --no-fund
	touch $@

ifdef WEB_BUILT
# The pages are gone, whatever the stamp says.
ifeq ($(wildcard $(STATIC)/*),)
$(WEB_BUILT): FORCE
endif
$(WEB_BUILT): $(WEB_INSTALLED) $(WEB_SOURCES)
	cd $(WEB) && npm run build
	rm -rf $(STATIC)
	mkdir -p $(STATIC)
	cp -R $(WEB)/app/dist/. $(STATIC)/
	touch $@
endif
