# Each target does the whole set-up on a machine with Python 3.11+ and make.
PYTHON ?= python3
RUN := .venv/bin/python

.PHONY: theorem1 test fast clean

theorem1: .venv/ready ## verify Theorem 1 on random tasks
	$(RUN) -m verify.theorem1 --K 4 --d 16

test: .venv/ready ## run all tests
	$(RUN) -m pytest

fast: .venv/ready ## run the tests that take seconds
	$(RUN) -m pytest -m "not slow"

.venv: .venv/ready
.venv/ready: requirements.lock
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
	touch $@

clean:
	rm -rf .venv .pytest_cache .hypothesis
