# One word a chore. Each makes the environment it needs first; `make` alone lists them.
PYTHON ?= python3
SETUP := $(PYTHON) setup_environment.py
BIN := .venv/bin
# What `make readme` writes and `make check` compares.
PAGES := README.md docs/support-matrix.md docs/benchmarks.md

.DEFAULT_GOAL := help
.PHONY: help guide report test gpu bench check lock newest oldest suite suite-kernels suite-guide suite-browser notebooks record readme score

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
	$(BIN)/pytest -n auto --maxprocesses 8 tests/kernels

suite-guide:
	$(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile tests --ignore=tests/kernels --ignore=tests/browser

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

readme: ## Write the generated blocks of README.md and docs/ anew: after an edit of a rule
	@$(SETUP) base
	@$(BIN)/python -m l4guide.readme $(PAGES)

score: ## Score the estimates on measured tables: make score DATA=FOLDER
	@$(SETUP) base
	@$(BIN)/python -m l4guide.estimate.score $(DATA)
