# Each target does the whole set-up on a machine with Python 3.11+ and make.
PYTHON ?= python3
RUN := .venv/bin/python
# One pytest worker per core: most of the tests' time is compilation, one program at a time.
PYTEST := $(RUN) -m pytest -n auto

.PHONY: test fast mutants figures explain benchmarks chromium clean help

theorem%: .venv/ready ## verify a theorem by its number on random tasks: theorem1, theorem2, ...
	$(RUN) -m verify.$@ --K 4 --d 16

test: .venv/ready chromium ## run all tests
	$(PYTEST)

fast: .venv/ready ## run the tests that are not marked slow
	$(PYTEST) -m "not slow"

mutants: .venv/ready ## strike every fault and count what verification rejects
	$(RUN) -m tests.mutants

figures: .venv/ready ## draw the paper's Figures 2, 3 and 5 on the constructed transformer
	$(RUN) -m verify.figure2
	$(RUN) -m verify.figure3
	$(RUN) -m verify.figure5

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

clean: ## remove what the other targets made
	rm -rf .venv .pytest_cache .hypothesis theorem?.html figure*.png figure*.svg

help: ## list the targets
	@grep -E '^[a-z0-9%]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'
