"""How large is the error of the answer at the theorem's sizes, against its bound?

python -m benchmarks.accuracy
"""

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from construct import build
from proofs.theorem1 import error_bound
from verify.cli import progress
from verify.oracle import judge
from verify.theorem1.check import answer_error
from verify.theorem1.draw import draw_instance, draw_prompt

SIZES = ((1, 1, 1, 2), (4, 16, 32, 3), (8, 16, 40, 9), (16, 64, 128, 4), (64, 16, 256, 2), (512, 16, 64, 2), (4, 512, 16, 2))
PROMPTS = 10


def main() -> None:
    """Print the worst error of some random prompts beside the bound, for each size and dtype."""
    table = Table("K, d, m, n", "dtype", "radius", "worst error", "bound", box=SIMPLE_HEAD)
    cases = [(size, dtype) for size in SIZES for dtype in ("float32", "float64")]
    for (K, d, m, n), dtype in progress(cases, len(cases), "measuring"):
        rng = np.random.default_rng(0)
        instance = draw_instance(rng, K=K, d=d, m=m, n=n, dtype=dtype)
        spec = instance.spec
        prompts = [draw_prompt(rng, instance) for _ in range(PROMPTS)]
        answers = build(spec, instance.tasks)(prompts)
        verdicts = [judge(instance.tasks, prompt, spec.tolerance, spec.margin) for prompt in prompts]
        worst = max(answer_error(answer.vector, verdict.vector) for answer, verdict in zip(answers, verdicts, strict=True))
        table.add_row(f"{K}, {d}, {m}, {n}", dtype, f"{spec.radius:.2f}", f"{worst:.1e}", f"{error_bound(spec):.1e}")
    Console().print(table)


if __name__ == "__main__":
    main()
