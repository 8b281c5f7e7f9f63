# Everything a newcomer needs: `make demo` and `make test` create the environment by themselves.
# `make system` (as root) installs the Debian packages for the tests that talk to real servers.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# What is built against system libraries is installed if they are there: that is, if `make system` has run.
SYSTEM_STAMP := $(if $(and $(shell command -v krb5-config),$(shell command -v gcc)),$(VENV)/.installed-system)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# One more than there are cores: many tests wait for a simulated PC to restart.
PROCESSES ?= $(shell expr $$(nproc) + 1)

# What `make mutants` draws.
SEED ?= 1

.PHONY: install system demo check test lint schemas mutants bench lock clean

install: $(STAMP)

# The lock pins every package by hash; hatchling is in it, so the build needs nothing else.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes --requirement requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# The C is that of wrappers; what takes time is in the system's library. Unoptimised it builds in a third of the time.
$(VENV)/.installed-system: requirements-system.lock $(STAMP)
	CFLAGS="-O0 -g0" $(PIP) --require-hashes --no-build-isolation --requirement requirements-system.lock
	@touch $@

system:
	.ci/system

demo: $(STAMP)
	$(BIN)/provmode demo --hosts 60 --seed 7 --fix --page demo.html; status=$$?; [ $$status -eq 0 -o $$status -eq 2 -o $$status -eq 4 -o $$status -eq 6 -o $$status -eq 8 ] || exit $$status

check: lint test

test: $(STAMP) $(SYSTEM_STAMP)
	$(BIN)/python -m pytest --quiet --numprocesses $(PROCESSES) --dist worksteal

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

schemas: $(STAMP)
	$(BIN)/python .ci/schemas.py

mutants: $(STAMP) $(SYSTEM_STAMP)
	$(BIN)/python .ci/mutants --seed $(SEED)

bench: $(STAMP)
	$(BIN)/python benchmarks/run.py

lock:
	uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --group dev pyproject.toml --output-file requirements.lock
	uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --no-deps --group pyproject.toml:system --output-file requirements-system.lock

clean:
	rm -rf $(VENV) .bench-venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build .lab
