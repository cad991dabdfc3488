# The only tool to learn: `make help`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SYSTEM := g++ make pkg-config libflatbuffers-dev flatbuffers-compiler libuv1-dev libssl-dev dpkg-dev
SYSTEM_TEST := chromium postgresql libasan8 libubsan1
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

.DEFAULT_GOAL := help
.PHONY: help setup setup-test run test lint types test-sanitize bench demo clean

help: ## Show what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## System packages where it may, the virtual environment, the codec, the native worker
	@$(BIN)/voiceplane worker path >/dev/null 2>&1 || $(BIN)/voiceplane worker build

setup-test: setup $(VENV)/.ready-test ## What the tests need besides: a browser, PostgreSQL, linters

run: setup ## Start the control plane over a native worker
	$(BIN)/voiceplane serve

test: setup-test ## Run all tests, on the real worker
	$(BIN)/python -m pytest

lint: setup-test ## Check format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup-test ## Check types
	$(BIN)/mypy

test-sanitize: setup-test ## Fuzz the codec under the address and undefined-behaviour sanitizers
	$(BIN)/python -m tests.sanitize

bench: setup-test ## Measure; prints JSON
	$(BIN)/python -m bench

demo: setup ## Start a server, and let two parties talk through it
	$(BIN)/python -m app.demo

clean: ## Remove what was built in this folder; the worker stays in the per-user cache
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache worker_bridge/*.so

# A package that is there already costs one dpkg-query; one that is not costs an apt-get, where we may.
define install_system
@missing=$$(for p in $(1); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
if [ -n "$$missing" ]; then \
  if command -v apt-get >/dev/null && { [ "$$(id -u)" = 0 ] || [ -n "$(AS_ROOT)" ]; }; then \
    $(AS_ROOT) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(AS_ROOT) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
  else echo "Please install these packages first:" $$missing >&2; exit 1; fi; \
fi
endef

$(VENV)/.ready: pyproject.toml setup.py $(wildcard worker_bridge/native/codec/*)
	$(call install_system,$(SYSTEM))
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -e '.[call,build]'
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	$(call install_system,$(SYSTEM_TEST))
	$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@
