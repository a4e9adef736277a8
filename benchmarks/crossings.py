"""How often does a prompt's way to its answer cross between files of construct/?

python -m benchmarks.crossings

A crossing is a call or a return whose two frames lie in different files there; one warm call is
counted. What it measures is how many rooms a reader of the code must enter.
"""

import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import construct
from construct import Prompt, Transformer, theorem1, theorem2, theorem3
from verify.cli import Parser
from verify.draw import draw_instance, draw_prompt

HOUSE = str(Path(construct.__file__).parent)
BUILD = {1: theorem1.build, 2: theorem2.build, 3: theorem3.build}
EVALUATORS = ("dense", "restricted")

Crossing = tuple[
    str, str, str, str
]  # 'call' or 'return', from which file, to which, what is called


def crossings(call: Callable[[], object]) -> Counter[Crossing]:
    """The crossings of one call in this thread, and how often each is made."""
    found: Counter[Crossing] = Counter()

    def watch(frame: FrameType, event: str, _: Any) -> None:
        if event not in ("call", "return") or not frame.f_code.co_filename.startswith(HOUSE):
            return
        outer = frame.f_back
        # What stands between two of the package's frames, such as a decorator's, is no room of it.
        while outer is not None and not outer.f_code.co_filename.startswith(HOUSE):
            outer = outer.f_back
        if outer is None or outer.f_code.co_filename == frame.f_code.co_filename:
            return
        files = [outer.f_code.co_filename, frame.f_code.co_filename]
        there, back = (str(Path(file).relative_to(HOUSE)) for file in files)
        ends = (there, back) if event == "call" else (back, there)
        found[event, *ends, frame.f_code.co_name] += 1

    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


def subject(theorem: int) -> tuple[Transformer, Prompt]:
    """A theorem's transformer, and a prompt for it."""
    rng = np.random.default_rng(0)
    instance = draw_instance(rng, K=3, d=6, m=8, n=3, sphere=theorem == 3)
    parts = (instance.spec, instance.tasks)
    return BUILD[theorem](*parts), draw_prompt(rng, instance)


def main() -> None:
    """Print them, by evaluator and theorem."""
    Parser("python -m benchmarks.crossings", description=__doc__).parse_args()
    for theorem in BUILD:
        model, prompt = subject(theorem)
        for evaluator in EVALUATORS:
            model(prompt, evaluator=evaluator)
            found = crossings(partial(model, prompt, evaluator=evaluator))
            print(f"theorem {theorem}, {evaluator}: {found.total()} crossings")
            for (event, start, end, name), count in found.items():
                print(f"  {count} {event:6} {start} -> {end} ({name})")


if __name__ == "__main__":
    main()
