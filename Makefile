# The two commands: make demo, make test. Each sets itself up the first time and is quick the second.
VENV ?= .venv
PYTHON ?= python3
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
FILES = src tests scripts examples benchmarks

.PHONY: demo test test-long lint format docs clean

demo: $(VENV)/.runtime
	$(VENV)/bin/synaug demo --out runs/demo

# One thread in every process that a test starts: several that each use all cores slow each other down fourfold.
test test-long: export OMP_NUM_THREADS = 1
test: $(VENV)/.dev lint
	$(VENV)/bin/python -m pytest -q -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-long: $(VENV)/.dev
	$(VENV)/bin/python -m pytest -q -m long -n logical --maxprocesses 4 --dist load

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check $(wildcard $(FILES))
	$(VENV)/bin/ruff format --check $(wildcard $(FILES))
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo

format: $(VENV)/.dev
	$(VENV)/bin/ruff check --fix $(wildcard $(FILES))
	$(VENV)/bin/ruff format $(wildcard $(FILES))

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet
	@echo "Open build/site/index.html"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "synaug needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing synaug and its libraries into $(VENV) (a few minutes, once) ..."
	$(PIP) --editable '.[train]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing synaug, its libraries and the development tools into $(VENV) (a few minutes, once) ..."
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.runtime

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
