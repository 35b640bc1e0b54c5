# Two commands from a fresh clone: `make demo` and `make test`.  They need python3 (3.10 to 3.13) with venv.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
DEMO   := demo
PEOPLE ?= 200
EPOCHS ?= 5
DATA   ?= arrays
CHROMIUM ?= /usr/bin/chromium
SMALL  := --debug --use_sm --batch_size 10 --data $(DEMO)/arrays --model_path $(DEMO)/models --tb_folder $(DEMO)/tb

.PHONY: demo demo-short bench tables page test test-long test-pages test-page run-test-page lint constraints clean
.DELETE_ON_ERROR:

$(VENV)/stamp: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	touch $@

# Every package that the requirements bring along, with its version and the hashes of its files, for Python 3.10 to 3.13.
constraints:
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check uv
	$(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes --no-annotate \
	    --custom-compile-command 'make constraints' requirements-test.txt --output-file constraints.txt

# Synthetic people -> arrays -> priors -> training on two towers -> joints -> table and curves, all below demo/.
demo: $(VENV)/stamp
	rm -rf $(DEMO)
	$(RUN) data.py --synthetic $(PEOPLE) --out $(DEMO)/arrays
	$(RUN) pairwise_distr.py --data $(DEMO)/arrays --figure $(DEMO)/priors.png
	$(RUN) main.py --train $(SMALL) --n_epochs 0 --run untrained --predictions $(DEMO)/untrained.mat
	$(RUN) main.py --train $(SMALL) --n_epochs $(EPOCHS) --run demo --gpus 0 1 --predictions $(DEMO)/predictions.mat
	$(RUN) show.py $(DEMO)/predictions.mat --data $(DEMO)/arrays --out $(DEMO)/poses.jpg
	@printf '\nBefore training:\n'
	@$(RUN) evaluate.py $(DEMO)/untrained.mat --data $(DEMO)/arrays --out $(DEMO)/untrained
	@printf '\nAfter training:\n'
	@$(RUN) evaluate.py $(DEMO)/predictions.mat --data $(DEMO)/arrays --out $(DEMO)/curves
	@printf '\n'
	@$(RUN) tests/demo_check.py $(DEMO)/untrained.csv $(DEMO)/curves.csv
	@printf '\nPictures: $(DEMO)/poses.jpg $(DEMO)/curves.png $(DEMO)/priors.png\n'
	@printf 'TensorBoard: $(VENV)/bin/tensorboard --logdir $(DEMO)/tb\n'

demo-short:
	$(MAKE) demo PEOPLE=120 EPOCHS=4

# Our pieces beside plain ones: about 40 minutes.
bench: $(VENV)/stamp
	$(RUN) -m tools.benchmark

# The rates of report/rates.md and their intervals, from report/predictions and FLIC's arrays (DATA=FOLDER names these): seconds.
tables: $(VENV)/stamp
	$(RUN) -m tools.rate_tables --data $(DATA)

# The page of docs/page.md in build/page; node's npm brings onnxruntime-web and, for the tests, playwright-core.
page: $(VENV)/stamp page/node_modules/stamp
	$(RUN) export.py --restore pretrained/flic --messages --out build/messages
	$(RUN) -m tools.build_page

page/node_modules/stamp: page/package-lock.json
	npm ci --prefix page --ignore-scripts --no-audit --no-fund
	touch $@

lint: $(VENV)/stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check --quiet .
	$(VENV)/bin/codespell
	$(VENV)/bin/basedpyright --warnings

test: lint
	$(RUN) -m pytest -q -rs -m 'not long' tests

test-long: $(VENV)/stamp
	FUZZ=1 $(RUN) -m pytest -q -rs -m 'long or fuzz' tests

# The commands of README.md and docs/, as they stand, on drawn data; part of test-long.
test-pages: $(VENV)/stamp
	$(RUN) -m pytest -q -rs -s tests/test_pages.py

# The page in headless Chromium, against TensorFlow's joints: 3 minutes.
test-page:
	@if ! command -v npm > /dev/null; then echo 'test-page: skipped: no npm (Node 20 or later has it)'; \
	elif ! test -x "$(CHROMIUM)"; then echo 'test-page: skipped: no Chromium at $(CHROMIUM) (CHROMIUM=PATH)'; \
	else $(MAKE) run-test-page; fi

run-test-page: page
	$(RUN) -m tests.page_cases build/page_test
	CHROMIUM="$(CHROMIUM)" node --test --test-reporter=spec page/test/*.test.mjs

clean:
	rm -rf $(DEMO) $(VENV) .pytest_cache .ruff_cache .hypothesis
