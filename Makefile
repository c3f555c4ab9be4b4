# Two commands do everything on a fresh machine: `make demo` and `make test`.
# EXTRA=cuda installs the official vllm for GPUs; it is the default where nvidia-smi is found.

PYTHON ?= python3
EXTRA ?= $(shell command -v nvidia-smi >/dev/null 2>&1 && echo cuda || echo cpu)
UV_VERSION := 0.13.9
BIN := .venv/bin
UV := $(BIN)/uv pip install --python $(BIN)/python --compile-bytecode

# PIP_FIND_LINKS is pip's own variable for a folder of wheels: where it is set, torch is taken from there.
ifeq ($(EXTRA),cpu)
UV += --excludes cpu-excludes.txt -c constraints.txt $(if $(PIP_FIND_LINKS),--find-links "$(PIP_FIND_LINKS)",--torch-backend cpu)
endif

.PHONY: setup demo demo-tiny gpu test check lint coverage bench-engine bench-stages bench-scoring bench-table bench-training bench-fit bench-data bench-scale mutants examples chaos docs lock clean

setup: .venv/.installed-$(EXTRA)
	@$(BIN)/bench models pull

.venv/.installed-$(EXTRA): pyproject.toml constraints.txt cpu-excludes.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "dep-bench needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is another; name one: make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	$(UV) --editable '.[$(EXTRA),dev]'
	@touch $@

# All methods between floor and ceiling, in a planted world, with the model that was made for it: minutes on two cores.
demo: setup
	$(BIN)/bench run --method all,oracle --metric habits,rouge,meteor --limit 150 --out runs/demo
	$(BIN)/bench table runs/demo --baseline nonperso
	$(BIN)/bench report runs/demo --baseline nonperso --to runs/demo/report.html

# The same path with a general model of 135 million parameters, on 8 users of each category: it decides nothing.
demo-tiny: setup
	$(BIN)/bench run --data bundled --profile tiny --limit 24 --out runs/demo-tiny

LINT := $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports && \
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: setup
	$(LINT)

# Linters and types run beside the tests. What they say comes after the tests, and either of the two fails the target.
WORKERS ?= 2
beside_lint = @($(LINT)) >.venv/lint.txt 2>&1 & lint=$$!; $(BIN)/python -m pytest -n $(WORKERS) $(1); tests=$$?; \
	wait $$lint; lint=$$?; cat .venv/lint.txt; exit $$((tests || lint))

test: setup
	$(call beside_lint)

# The quick part of `make test`, for while you work: no real engine, no training, no fuzzing.
check: setup
	$(call beside_lint,-m "not engine and not slow")

# Which lines the tests reach, those that only a GPU reaches included.
coverage: setup
	$(BIN)/python -m pytest --cov --cov-report=term

# Tokens a second of the pipeline against the bare engine, same prompts. Prints the ratio.
bench-engine: setup
	$(BIN)/python -m benchmarks.engine

# DPL's stages without barriers, with barriers, and the bare engine. Prints the ratios.
bench-stages: setup
	$(BIN)/python -m benchmarks.stages

# Tokens a second of the engine while finished cells are scored beside it. Prints the ratio.
bench-scoring: setup
	$(BIN)/python -m benchmarks.scoring

# Seconds of `bench table` on 200 finished runs of 2,000 samples.
bench-table: setup
	$(BIN)/python -m benchmarks.table

# One card with random weights in Qwen2.5-7B's shape, about ten minutes: tokens a second, training step, memory. Writes gpu.json.
gpu: setup
	$(BIN)/python -m benchmarks.gpu

# Fitting prompts into their budgets by blocks, against tokenizing whole prompts. Prints the ratios.
bench-fit: setup
	$(BIN)/python -m benchmarks.fit

# One training step against the released recipe: seconds and memory. Prints the ratios.
bench-training: setup
	$(BIN)/python -m benchmarks.training

# Raw reviews to a dataset: seconds, memory and growth up to 10 million reviews, and against the released way. 15 GB of disk.
bench-data: setup
	$(BIN)/python -m benchmarks.data

# The text metrics at the paper's size, against the plain libraries.
bench-scale: setup
	$(BIN)/python -m benchmarks.scale

# Kills a small real grid 30 times at random moments; does it end like an unbroken one? About half an hour.
chaos: setup
	$(BIN)/python -m benchmarks.chaos

# Single faults in the source, each run through the quick assay: does baselines/assay.json find it? About a minute a fault.
mutants: setup
	$(BIN)/python -m benchmarks.mutants

# docs/examples: every suite with tiny models on 12 samples, its table and figure, a report. About 40 minutes on two cores.
examples: setup
	$(BIN)/python -m benchmarks.examples

# The documentation as HTML, in build/site. Open build/site/index.html, or see it with search by `.venv/bin/mkdocs serve`.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Versions of everything that the packages pinned in pyproject.toml require in turn.
lock:
	$(BIN)/uv pip compile pyproject.toml --extra cpu --extra dev --universal --no-annotate --no-header --quiet \
		--excludes cpu-excludes.txt $(if $(PIP_FIND_LINKS),--find-links "$(PIP_FIND_LINKS)",--torch-backend cpu) \
		| grep -v '^torch==' > constraints.txt

clean:
	rm -rf .venv build *.egg-info
