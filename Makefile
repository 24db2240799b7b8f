# Each target is what a person would type; .venv is made, and remade when the dependencies change.
PYTHON ?= python3
BIN := .venv/bin
# One more than there are cores: some tests wait for processes of their own.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

# What `make quickstart` trains lies apart from the committed leaderboard, in a folder that git ignores.
QUICK := runs/quickstart/leaderboard
TEXT := "A warm and funny film"

.PHONY: quickstart quickstart-opening test kernels smoke lint docs bench conformance

quickstart: quickstart-opening .venv/installed
	@$(BIN)/rnnbench run quickstart --leaderboard $(QUICK)
	@echo
	@echo 'Ask what was just trained, from this folder (". .venv/bin/activate" makes it plain "rnnbench"):'
	@echo '  .venv/bin/rnnbench show adding/gru --leaderboard $(QUICK)'
	@echo '  .venv/bin/rnnbench classify sentiment-movies/gru $(TEXT) --leaderboard $(QUICK)'
	@echo '  .venv/bin/rnnbench gates sentiment-movies/gru $(TEXT) --leaderboard $(QUICK)'

quickstart-opening:
	@if test -d $(QUICK); then \
	echo 'Goes on with runs/quickstart: what is trained there is kept and shown, only what is missing is trained.'; else \
	echo 'Installs into .venv if need be, then trains 22 small networks on three tasks, about 90 s on two cores.'; fi

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal

# every cell's GPU kernels, interpreted and compiled: no GPU is needed
kernels: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal -m kernels tests/nn

# every architecture is trained for a moment on stand-ins of tasks of every kind: of these `make test` tries some
smoke: .venv/installed
	$(BIN)/rnnbench smoke

# mypy follows what is imported: the packages of the tests have to be there too
lint: .venv/peers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# the site, into site/: a dead link or a notebook that fails is an error
docs: .venv/docs
	OMP_NUM_THREADS=1 $(BIN)/python -m mkdocs build

bench: .venv/bench
	$(BIN)/python -m benchmarks.harness
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python -m benchmarks.board
	$(BIN)/python -m benchmarks.kills
	$(BIN)/python -m benchmarks.data
	$(BIN)/python -m benchmarks.generate
	$(BIN)/python -m benchmarks.precision
	$(BIN)/python -m benchmarks.page
	$(BIN)/python -m benchmarks.layers --json layers.json --plot layers.png

conformance: .venv/installed
	$(BIN)/python -m benchmarks.conformance

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,tasks,vectors,board,plots,music]'
	touch $@

# what only the tests need, only the documentation, and only the benchmarks
.venv/peers .venv/docs .venv/bench: .venv/%: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,tasks,vectors,ray,slurm,board,plots,music,tune,export,docs,$*]'
	touch $@
