PYTHON ?= python3
BIN := .venv/bin
PLUGINS := $(wildcard plugins/*)
PROJECTS := pyproject.toml $(PLUGINS:=/pyproject.toml)

.PHONY: quickstart test minimum offline faults results lock locked lint docs screenshots clean

quickstart: .venv/quickstart ## train ST-CNN and CNN on embedded digits, print a table, write quickstart.png
	$(BIN)/python benchmarks/quickstart.py

test: .venv/test ## run the tests, those of plugins/ included
	$(BIN)/python -m pytest -n 2

minimum: .venv-minimum/tests ## the tests with exactly the lowest release of each direct dependency
	.venv-minimum/bin/python -m pytest -n 2

offline: .venv/test ## the tests without a network; any attempt to reach one is an error
	.ci/offline $(BIN)/python -m pytest -n 2

faults: .venv/test ## kills, full disks, damaged and hostile files: the table of docs/reliability.md
	$(BIN)/python benchmarks/faults.py --write docs/reliability.md

results: .venv/test ## the tables of docs/results.md from docs/results/, and from finished runs in runs/reproduce
	for table in $$(sed -n "s/^<!-- table \(.*\) -->/\1/p" docs/results.md); do \
		$(BIN)/stn reproduce $$table --seeds 0 --write docs/results.md || exit 1; done

lock: .venv/dev ## .ci/lock.txt: the newest releases of all that is needed, with the hashes of their files; needs uv
	{ $(BIN)/python .ci/floors.py $(PROJECTS) | sed "s/==/>=/"; echo hatchling; echo editables; } \
		| uv pip compile pyproject.toml - --all-extras --universal --python-version 3.11 --upgrade --generate-hashes \
			--no-emit-index-url --no-header --no-annotate --quiet --output-file .ci/lock.txt

locked: | .venv/bin/python ## .venv with exactly the files of .ci/lock.txt
	$(BIN)/python -m pip install --quiet --require-hashes -r .ci/lock.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e . $(foreach plugin,$(PLUGINS),-e "$(plugin)")
	touch .venv/quickstart .venv/test .venv/dev .venv/docs

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
.venv/%: $(PROJECTS) | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch torchvision -e ".[$*]" \
		$(if $(filter quickstart docs,$*),,$(foreach plugin,$(PLUGINS),-e "$(plugin)[test]"))
	touch $@

.venv-minimum/tests: $(PROJECTS) .ci/floors.py
	$(PYTHON) -m venv --clear .venv-minimum
	.venv-minimum/bin/python -m pip install --quiet --disable-pip-version-check packaging
	.venv-minimum/bin/python .ci/floors.py $(PROJECTS) > .venv-minimum/floors.txt
	.venv-minimum/bin/python -m pip install --quiet --disable-pip-version-check -c .venv-minimum/floors.txt \
		-e ".[test]" $(foreach plugin,$(PLUGINS),-e "$(plugin)[test]")
	touch $@

clean:
	rm -rf .venv .venv-minimum runs quickstart.png
