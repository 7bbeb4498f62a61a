PYTHON ?= python3
BIN := .venv/bin
PLUGINS := $(wildcard plugins/*)

.PHONY: quickstart test lint docs screenshots clean

quickstart: .venv/quickstart ## train ST-CNN and CNN on embedded digits, print a table, write quickstart.png
	$(BIN)/python benchmarks/quickstart.py

test: .venv/test ## run the tests, those of plugins/ included
	$(BIN)/python -m pytest -n 2

lint: .venv/dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/docs ## the site, into build/site; a warning is an error
	$(BIN)/mkdocs build

screenshots: .venv/test ## what a browser shows of TensorBoard, into docs/; needs Chromium
	STN_SCREENSHOTS=docs $(BIN)/python -m pytest tests/test_browser.py

.venv/bin/python:
	$(PYTHON) -m venv .venv

# torch and torchvision in one step from one index: a pair that does not match breaks `import lightning`
.venv/%: pyproject.toml $(PLUGINS:=/pyproject.toml) | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch torchvision -e ".[$*]" \
		$(if $(filter quickstart docs,$*),,$(foreach plugin,$(PLUGINS),-e "$(plugin)[test]"))
	touch $@

clean:
	rm -rf .venv runs quickstart.png
