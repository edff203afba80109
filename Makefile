# Two commands on a fresh machine: `make demo` and `make test`. Each makes the venv it needs, once.
# `make docs` builds the documentation into site/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILT_FROM := pyproject.toml setup.py iso15118/exi/kernel.py iso15118/exi/kernel.pxd

.PHONY: demo test lint docs clean

$(VENV)/.demo: $(BUILT_FROM)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	touch $@

$(VENV)/.test: $(BUILT_FROM)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[hpgp,pki,test]'
	touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/hlc demo

test: $(VENV)/.test
	$(BIN)/python -m pytest -q -n 2 -m "not netns and not interop and not slow"

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/.docs: $(BUILT_FROM)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[docs]'
	touch $@ $(VENV)/.demo

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build -q --strict

clean:
	rm -rf $(VENV) build dist site *.egg-info
