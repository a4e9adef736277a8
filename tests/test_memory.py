"""Memory grows with the number of tokens, not with its square."""

import subprocess
import sys

import pytest

LONG = """
import numpy as np
from benchmarks.scale import resident_peak
from construct import build
from verify.draw import draw_instance, draw_prompt

rng = np.random.default_rng(0)
instance = draw_instance(rng, K=16, d=16, m=2047, n=4)
prompt = draw_prompt(rng, instance)
answer = build(instance.spec, instance.tasks)(prompt)
assert prompt.tokens > 8192 and answer.evidence == 2047
print(resident_peak())  # not getrusage, which tells of the process that started this one too
"""


@pytest.mark.slow
def test_8192_tokens_and_16_heads_stay_under_3_gb():
    # All scores of one layer at once would take 16 * 8193^2 * 4 bytes, 4.3 GB.
    run = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 3 * 2**30
