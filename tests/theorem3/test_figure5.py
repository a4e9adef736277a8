"""Figure 5: patched and prompted mixtures follow the line, and a curve that does not is seen."""

from dataclasses import replace

import numpy as np

from verify.figure5 import as_json, experiment

CURVES = experiment(["ret"], examples=4, pairs=1, steps=4, dtype="float32", seed=1)


def test_both_rows_follow_the_mixture():
    assert [curve.kind for curve in CURVES] == ["patched", "prompted"]
    assert as_json(CURVES, 1)["holds"]
    for curve in CURVES:
        np.testing.assert_allclose(curve.answers.sum(1), 1, atol=26 * curve.error_bound)
        np.testing.assert_array_equal(curve.shares, [0, 0.25, 0.5, 0.75, 1])


def test_a_curve_off_the_line_does_not_hold():
    wrong = replace(CURVES[0], answers=CURVES[0].answers[::-1])
    assert not as_json([wrong, CURVES[1]], 1)["holds"]
