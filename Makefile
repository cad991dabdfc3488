# The only tool to learn: `make help`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Nothing but what the lock files name, byte for byte. Bytecode is made of what is imported, when it is.
PIP_INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check --no-compile --no-deps
LOCKED := $(PIP_INSTALL) --require-hashes
WHEEL := $(BIN)/python -m pip wheel --disable-pip-version-check --no-build-isolation --no-deps -w dist

# Debian's names, and the programs to look for where there is no dpkg.
SYSTEM := g++ make pkg-config libabsl-dev libflatbuffers-dev flatbuffers-compiler libuv1-dev libssl-dev dpkg-dev
SYSTEM_TEST := chromium firefox-esr iproute2 postgresql pgbouncer libasan8 libubsan1 coturn systemd libseccomp2 ffmpeg opus-tools haproxy
PROGRAMS := g++ make pkg-config flatc
PROGRAMS_TEST := npm node

# How many run tests at once, a file each. Tests wait for most of their time, for timers and for sound in real time, so that one
# more than there are cores is well used; with many more, the ones that measure would measure each other.
TEST_PROCESSES ?= $(shell echo $$(($$(nproc 2>/dev/null || echo 2) + 1)))

NO_HURRY := -o timeout=3600 -o faulthandler_timeout=3600

# For every Python from 3.11 on, on Linux of any processor.
LOCK := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
  --custom-compile-command 'make lock'

.DEFAULT_GOAL := help
.PHONY: help setup setup-test run test lint types test-debug test-openapi test-sanitize test-cluster bench docs demo demo-cluster client wheel wheel-bridge wheel-check lock clean

help: ## Show what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What waits for the network does so beside what compiles: the pages, and what `voiceplane call` needs besides.
setup: $(VENV)/.ready ## System packages where it may, the virtual environment, the extensions, the worker, the pages
	@$(BIN)/python -m app.web.build & pages=$$!; \
	{ [ $(VENV)/.ready-call -nt requirements/call.txt ] || { $(LOCKED) -r requirements/call.txt && touch $(VENV)/.ready-call; }; } & call=$$!; \
	$(BIN)/voiceplane worker build >/dev/null; worker=$$?; \
	wait $$pages && wait $$call && exit $$worker

setup-test: setup $(VENV)/.ready-test ## What the tests need besides: a browser, PostgreSQL, linters

run: setup ## Start the control plane over native workers
	$(BIN)/voiceplane serve

# Sound, timers and browsers run in real time, and here beside one another. So what fails is run once more with the machine to
# itself, and has to pass there; both times are shown.
test: setup-test ## Run all tests, on the real worker
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder || { \
	  code=$$?; [ $$code -eq 1 ] || exit $$code; \
	  echo "Once more by themselves: the tests that failed beside others."; \
	  $(BIN)/python -m pytest --last-failed --last-failed-no-failures none; }

lint: $(VENV)/.ready-test ## Check format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.ready-test ## Check types
	$(BIN)/mypy

test-debug: setup-test ## Run the bridge's tests on a worker that logs everything it does
	WORKER_LOG=debug $(BIN)/python -m pytest tests/worker_bridge

test-openapi: setup-test ## Ask a running node for much that its OpenAPI document promises or forbids
	OPENAPI_EXAMPLES=200 OPENAPI_SEED=$$(date +%s) $(BIN)/python -m pytest -s $(NO_HURRY) tests/app/openapi/test_document_fuzz.py

test-sanitize: setup-test ## Fuzz the native extensions under the address and undefined-behaviour sanitizers
	$(BIN)/python -m tests.sanitize

test-cluster: setup-test ## Prove what a cluster promises, at length, and print what was done and what held
	CLUSTER_PROOF=long $(BIN)/python -m pytest $(NO_HURRY) tests/cluster tests/crash/test_outlived_node.py

bench: setup-test ## Measure; prints JSON
	$(BIN)/python -m bench

docs: setup-test ## Make the bridge's reference from its docstrings, in build/docs/
	$(BIN)/python -m pdoc worker_bridge --output-directory build/docs

client: setup-test ## Check the browser's client, and pack it for npm, in dist/
	cd clients/js && npm ci --ignore-scripts --no-audit --no-fund && npm run lint && npm run check && npm run build
	mkdir -p dist && cp LICENSE clients/js/ && cd clients/js && npm pack --pack-destination ../../dist

wheel: setup ## Make the server's wheel, which brings its worker, in dist/
	rm -f dist/voiceplane-*.whl
	$(WHEEL) .

wheel-bridge: setup ## Make a wheel of worker_bridge alone, worker inside, in dist/
	rm -f dist/voiceplane_worker_bridge-*.whl
	$(WHEEL) wheels/bridge

wheel-check: setup-test ## Make both wheels, install them elsewhere, and talk through them
	$(BIN)/python -m pytest tests/shipping

demo: setup ## Start a server, and let two parties talk through it
	$(BIN)/python -m voiceplane.demo

demo-cluster: setup-test ## Start three nodes, put 50 calls on them, kill a node, and say what came of it
	$(BIN)/python -m tests.cluster.demo

lock: $(VENV)/.ready-test ## Renew the lock files, of what pyproject.toml allows today
	$(LOCK) --upgrade --all-extras --group build -o requirements/dev.txt pyproject.toml
	$(LOCK) --constraints requirements/dev.txt -o requirements/node.txt pyproject.toml
	$(LOCK) --constraints requirements/dev.txt --extra call -o requirements/call.txt pyproject.toml
	$(LOCK) --constraints requirements/dev.txt --extra s3 -o requirements/s3.txt pyproject.toml
	$(LOCK) --constraints requirements/dev.txt --group build -o requirements/build.txt
	$(LOCK) --upgrade --group npm -o worker_bridge/native/npm.txt

clean: ## Remove what was built in this folder; data/ stays, and so does the worker in the per-user cache
	rm -rf $(VENV) build dist *.egg-info wheels/bridge/build wheels/bridge/*.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis */_*.so app/web/built clients/js/build clients/js/dist clients/js/node_modules clients/js/LICENSE
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.ready: pyproject.toml setup.py wheels/native_wheel.py requirements/build.txt requirements/node.txt $(wildcard worker_bridge/native/codec/*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "$(PYTHON) is not Python 3.11 or newer: install one, or name one with make PYTHON=..." >&2; exit 1; }
	@$(call install_system,,,$(missing_venv))
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@($(call install_system,$(SYSTEM),$(PROGRAMS),$(missing_headers))) & system=$$!; \
	echo "Installing the Python packages ..."; \
	$(LOCKED) -r requirements/build.txt -r requirements/node.txt; python=$$?; \
	command -v npm >/dev/null || $(LOCKED) -r worker_bridge/native/npm.txt; \
	wait $$system && exit $$python
	@echo "Building the extensions ..."
	@PYTHONWARNINGS=ignore $(PIP_INSTALL) --no-build-isolation -e .
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready requirements/dev.txt
	@$(call install_system,$(SYSTEM_TEST),$(PROGRAMS_TEST),for p in npm:npm node:nodejs; do command -v $${p%:*} >/dev/null || echo $${p#*:}; done)
	@echo "Installing what the tests need ..."
	@$(LOCKED) -r requirements/dev.txt
	@touch $@

# What Debian splits off its Python: asked of the Python, because another one brings both.
define missing_venv
$(PYTHON) -c 'import ensurepip' 2>/dev/null || echo python3-venv
endef
define missing_headers
$(PYTHON) -c 'import sysconfig; open(sysconfig.get_path("include") + "/Python.h").close()' 2>/dev/null || echo python3-dev
endef

# $(1) packages, $(2) programs, $(3) a command that prints further packages. What is there already costs one dpkg-query;
# what is not costs an apt-get, where we may.
define install_system
if command -v dpkg-query >/dev/null; then \
  missing=$$(for p in $(1); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done; $(3)); \
else \
  missing=$$(for p in $(2); do command -v $$p >/dev/null || echo $$p; done); \
fi; \
missing=$$(echo $$missing); \
[ -n "$$missing" ] || exit 0; \
if [ "$$(id -u)" = 0 ]; then as_root=; elif command -v sudo >/dev/null; then as_root=sudo; else as_root=none; fi; \
if [ "$$as_root" = none ] || ! command -v apt-get >/dev/null; then \
  echo "Please install these first: $$missing" >&2; exit 1; \
fi; \
echo "Installing system packages: $$missing"; \
{ $$as_root apt-get update -qq && \
  $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; } \
  || { echo "apt-get could not install $$missing: please install these first" >&2; exit 1; }
endef
