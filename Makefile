# Every target makes the environment it needs: a virtual environment in $(VENV) with the package installed in place.
PYTHON ?= python3
VENV ?= .venv
STAMP := $(VENV)/.installed
RUN := $(VENV)/bin/python

.PHONY: demo test test-eager lint clean

demo: $(STAMP)
	$(RUN) -m rushlight examples/digits.py --out out

test: $(STAMP)
	$(RUN) -m pytest $(ARGS)

test-eager: $(STAMP)
	RUSHLIGHT_EAGER=1 $(RUN) -m pytest $(ARGS)

lint: $(STAMP)
	$(VENV)/bin/ruff check rushlight tests examples benchmarks
	$(RUN) -m pytest -q tests/test_layers.py tests/test_sizes.py

clean:
	rm -rf $(VENV) out build dist

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@
