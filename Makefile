# `make demo` and `make test` each do everything on a fresh machine; `make help` lists the rest.
VENV   := .venv
PY     := $(VENV)/bin/python
EXTRAS := io,cluster,onnx,pandas,parquet,docs,dev
# Several processes take the test files one after another. A file stays whole: its tests share what is slow to make.
# A process that dies is named, and not started again: pytest-xdist may wait for ever after that.
PYTEST := -m pytest -n auto --maxprocesses=4 --dist=loadfile --max-worker-restart=0 -m
# The first Python on the path that TensorFlow 2.16 has wheels for and that can make virtual environments.
SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.10; do \
	"$$p" -c "$(SUITABLE)" >/dev/null 2>&1 && { echo "$$p"; break; }; done)

# `venv --clear` would empty the folder that a link leads to.
REFUSE_LINK = test ! -L $(@D) || { echo "error: $(@D) is a link to an environment; remove the link" >&2; exit 1; }

.PHONY: help setup demo test test-slow test-newest coverage docs docs-check lint type clean
help:
	@echo "make demo       set-up, then the whole main job on generated recordings (1 minute after set-up)"
	@echo "make test       set-up, then the tests"
	@echo "make setup      only the set-up, into $(VENV)"
	@echo "make lint type  ruff; mypy"
	@echo "make test-slow  the tests that take minutes"
	@echo "make test-newest  the tests on the newest TensorFlow, in an environment of its own"
	@echo "make docs       the documentation, into build/docs/index.html"
	@echo "make docs-check the commands of README.md, docs/ and the guides, on generated recordings"
	@echo "make coverage   lines of bird_tf that the tests run; below 90 % is an error"
	@echo "make clean      remove demo/, runs/ and caches (not $(VENV), not tfrecords/)"

setup: $(VENV)/installed

$(VENV)/installed: setup.cfg pyproject.toml constraints/certified.txt
	@"$(PYTHON)" -c "$(SUITABLE)" >/dev/null 2>&1 || { \
	  echo "error: need Python 3.10, 3.11 or 3.12 with its venv module (Debian: apt install python3 python3-venv); or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(REFUSE_LINK)
	@echo "Installing into $(VENV) (tensorflow is large: minutes on a first run)"
	@"$(PYTHON)" -m venv --clear $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints/certified.txt --editable ".[$(EXTRAS)]"
	@touch $@

demo: setup
	@$(PY) tools/demo.py --output=demo

test: setup
	@$(PY) $(PYTEST) "not slow"

test-slow: setup
	@$(PY) -m pytest -m slow

# The newest TensorFlow, whose native operations tensorflow-io does not have: the tests that need it skip themselves.
# At the end it notes with which dependencies they passed (the list of our own packages aside); CI runs it for others.
test-newest: .venv-newest/installed
	@.venv-newest/bin/python $(PYTEST) "not slow"
	@{ sed '/^packages =/,/^package_dir/d' setup.cfg; cat pyproject.toml constraints/newest.txt; } | cksum >constraints/newest-passed.txt

.venv-newest/installed: setup.cfg pyproject.toml constraints/newest.txt
	@$(REFUSE_LINK)
	@"$(PYTHON)" -m venv --clear .venv-newest
	@.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints/newest.txt --editable ".[cluster,onnx,pandas,parquet,dev]"
	@touch $@

docs: setup
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict
	@echo "open build/docs/index.html in a browser"

docs-check: setup
	@$(PY) tools/check_docs.py

coverage: setup
	@$(PY) $(PYTEST) "not slow" --cov=bird_tf --cov-report=term:skip-covered --cov-fail-under=90

lint: setup
	@$(PY) -m ruff check bird_tf tools tests
	@$(PY) -m ruff format --check bird_tf tools tests

type: setup
	@$(PY) -m mypy

clean:
	rm -rf demo runs build dist .pytest_cache .mypy_cache .ruff_cache .cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
