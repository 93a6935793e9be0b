# One word a chore. Each makes the environment it needs first; `make` alone lists them.
PYTHON ?= python3
SETUP := $(PYTHON) setup_environment.py
BIN := .venv/bin
# What `make readme` writes and `make check` compares.
PAGES := README.md docs/support-matrix.md docs/benchmarks.md docs/symptoms.md

SPREAD := -n auto --maxprocesses 8
# The files with slow tests come first (tests/conftest.py), not last as the ones with the fewest tests.
BY_FILE := $(SPREAD) --dist loadfile --no-loadscope-reorder
# Tables, arguments and refusals of the kernels, and one sweep of shapes of each of the three ways to call them.
QUICK_KERNELS := $(addprefix tests/kernels/, test_code.py test_interface.py test_reference.py test_refusals.py \
	test_signatures.py test_tiles.py test_attention.py::test_agrees_with_fp64_at_any_length \
	test_decode.py::test_any_number_of_splits test_varlen.py::test_ragged_batches)

.DEFAULT_GOAL := help
.PHONY: quick quick-guide quick-kernels sweep quickness help guide report test gpu bench check lock newest oldest suite suite-kernels suite-guide suite-browser notebooks record traces readme score

help: ## List these chores
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

guide: ## Open the guide in JupyterLab (on a remote machine: print its address and the ssh line)
	@$(SETUP) all
	@$(BIN)/l4guide lab

report: ## Write report.html; needs no browser
	@$(SETUP) base
	@$(BIN)/l4guide report --out report.html

test: ## Run the tests, the browser's included; finds or installs Chromium and other versions of Triton
	@$(SETUP) dev chromium tritons
	@$(MAKE) --keep-going --no-print-directory suite

# A part that fails leaves the others theirs; Triton's interpreter is chosen once a process.
suite: suite-kernels suite-guide suite-browser

suite-kernels:
	$(BIN)/pytest $(SPREAD) --dist worksteal tests/kernels

suite-guide:
	$(BIN)/pytest $(BY_FILE) tests --ignore=tests/kernels --ignore=tests/browser

suite-browser:
	$(BIN)/pytest tests/browser

newest: ## The tests with the newest of everything, and which release breaks which test (TESTS="tests/kernels")
	@$(SETUP) dev chromium
	@$(BIN)/python -m tests.ranges.newest $(TESTS)

oldest: ## A sample of the tests with the oldest of everything that pyproject.toml allows; downloads gigabytes
	@$(SETUP) dev
	@$(BIN)/python -m tests.ranges.oldest

bench: ## On a machine with an NVIDIA GPU and its own PyTorch and Triton: measure it, ten minutes (OPTIONS="--resume")
	PYTHONPATH=.:kernels $(PYTHON) -m l4guide measure $(OPTIONS)

gpu: ## On such a machine, within 25 minutes: the tests that need it, the benchmark, tuned tiles
	PYTHONPATH=.:kernels $(PYTHON) tests/gpu/everything.py

check: ## Formatting, lint, types, import arrows, spelling, README's and docs' tables, stripped notebooks
	@$(SETUP) dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/typos
	$(BIN)/python -m l4guide.readme --check $(PAGES)
	$(BIN)/nbstripout --verify notebooks/*.ipynb

quick: ## Within three minutes on two cores: all of check, and the tests that a change breaks most
	@$(SETUP) dev
	@$(MAKE) --keep-going --no-print-directory --jobs 2 --output-sync=target check quick-guide quick-kernels

quick-guide:
	$(BIN)/pytest $(BY_FILE) -m "not (gpu or sweep or slow or compile)" tests/data tests/house tests/l4guide

quick-kernels:
	$(BIN)/pytest $(SPREAD) -m "not (gpu or sweep or slow or compile)" $(QUICK_KERNELS)

sweep: ## The exhaustive tests, which `make test` leaves out: minutes long, and rarely telling more than the rest
	@$(SETUP) dev tritons
	$(BIN)/pytest $(SPREAD) -m sweep tests

quickness: ## How long an answer on the command line takes, beside an import of numpy: at most three times
	@$(SETUP) base
	@$(BIN)/python tests/fixtures/quickness.py

lock: ## Move requirements.lock: the newest of everything beside the torch and Triton that it names
	@$(SETUP) dev
	@grep -E '^(torch|triton)==' requirements.lock | $(BIN)/uv pip compile --quiet --universal --upgrade --all-extras \
		--python-version 3.11 --no-annotate --custom-compile-command "make lock" \
		--constraint - --output-file requirements.lock pyproject.toml

notebooks: ## Run every notebook from top to bottom
	@$(SETUP) dev
	$(BIN)/pytest --nbmake notebooks

record: ## Compile what data/resources lacks: after an edit of a kernel or a tile table
	@$(SETUP) dev
	$(BIN)/python -m l4guide.resources.recorder

traces: ## Trace every model type of the installed transformers into data/traces: after an upgrade of it
	@$(SETUP) dev
	$(BIN)/python -m l4guide.tracing.recorder

readme: ## Write the generated blocks of README.md and docs/ anew: after an edit of a rule
	@$(SETUP) base
	@$(BIN)/python -m l4guide.readme $(PAGES)

score: ## Score the estimates on measured tables: make score DATA=FOLDER
	@$(SETUP) base
	@$(BIN)/python -m l4guide.estimate.score $(DATA)
