"""The training runs whose checkpoints are kept: sizes, tasks, steps and seeds, fixed before they
ran."""

from pathlib import Path

from verify.decoder import Shape
from verify.train.loop import Run
from verify.train.noise import NoiseRun
from verify.train.tasks import Tasks

CHECKPOINTS = Path(__file__).parent / "checkpoints"
LETTERS = 4  # ret on words of four letters: ret1..ret4
LINES = {"ret": 17, "plus": 24, "chain": 21}  # of a training prompt


def run(kind: str, K: int, layers: int, width: int, steps: int, seed: int = 0) -> Run:
    """A run called by its tasks and sizes. Heads are 16 wide, MLPs 8/3 of the width."""
    tasks = Tasks(kind, K, LINES[kind])
    hidden = round(8 * width / 3)
    # Embeddings are small and scaled by 20: with the same rate for all, Adam then moves them fast.
    shape = Shape(layers, width, max(width // 16, 1), len(tasks.symbols), hidden, scale=20.0)
    return Run(f"{kind}{K}-layers{layers}-width{width}", shape, tasks, steps, seed=seed)


# The tiniest of a kind first. Figure 6 is drawn over each kind's sizes.
ALL: dict[str, Run] = {
    one.name: one
    for one in (
        run("plus", 10, 1, 16, 4000),
        run("plus", 10, 1, 32, 4000),
        run("plus", 10, 2, 16, 4000),
        run("plus", 10, 2, 32, 6000),
        run("plus", 10, 2, 64, 4000),
        run("plus", 10, 3, 64, 4000),
        run("ret", LETTERS, 4, 64, 2480),
        run("chain", 4, 2, 32, 4000),
    )
}

# Theorem 1's weights and noise, trained back; the others are controls, with three and ten times the
# noise.
FROM_NOISE: dict[str, NoiseRun] = {
    one.name: one
    for one in (
        NoiseRun(f"theorem1-noise-{share}", LETTERS, LINES["ret"] - 1, share)
        for share in (0.01, 0.03, 0.1)
    )
}
