# Two commands on a fresh machine: `make demo` and `make test`. Each makes the venv it needs, once, which takes a minute or more.
# `make docs` builds the documentation into site/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILT_FROM := pyproject.toml setup.py iso15118/exi/kernel.py iso15118/exi/kernel.pxd

define venv
@test -x $(BIN)/python || { $(PYTHON) -c 'import sys; sys.exit(f"{sys.executable} is {sys.version.split()[0]}; 3.11 or newer is \
needed: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)' && $(PYTHON) -m venv $(VENV); }
endef

.PHONY: help demo test lint docs check-wheel clean

help:
	@echo 'make demo         a whole session, car against charger'
	@echo 'make test         the test suite'
	@echo 'make lint docs    style and types; the documentation, into site/'
	@echo 'make check-wheel  the wheel in an empty venv'
	@echo 'make clean        removes what the others made'

$(VENV)/.demo: $(BUILT_FROM)
	$(venv)
	@echo 'Installing into $(VENV): a minute or more, once.'
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[report]'
	touch $@

$(VENV)/.test: $(BUILT_FROM)
	$(venv)
	@echo 'Installing into $(VENV): a minute or more, once.'
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[hpgp,pki,test]'
	touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/hlc demo
	@echo
	@echo 'Next: . $(BIN)/activate; hlc demo --trace out; hlc report out/*.jsonl (docs/tutorials/first-session.md)'

test: $(VENV)/.test
	$(BIN)/python -m pytest -q -n 2 -m "not netns and not interop and not slow"

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/.docs: $(BUILT_FROM)
	$(venv)
	@echo 'Installing into $(VENV): a minute or more, once.'
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[docs]'
	touch $@ $(VENV)/.demo

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build -q --strict

# The wheel, in an empty venv and away from the checkout.
check-wheel: $(VENV)/.test
	rm -rf build/check
	$(BIN)/python -m pip wheel -q --disable-pip-version-check --no-deps --wheel-dir build/check .
	$(BIN)/python -m venv build/check/venv
	build/check/venv/bin/python -m pip install -q --disable-pip-version-check "$$(ls build/check/*.whl)[report]"
	cd build/check && venv/bin/hlc demo --speed 1000 --trace out > demo.txt \
	  && venv/bin/hlc check out/demo-dc-dynamic.jsonl && venv/bin/hlc report out/demo-dc-dynamic.jsonl \
	  && venv/bin/hlc scenario list > scenarios.txt && venv/bin/v2g-pki mint --out lab

clean:
	rm -rf $(VENV) build dist site *.egg-info
