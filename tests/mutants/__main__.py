"""Strike every fault, verify, and print how many are rejected and which survive."""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from construct import Transformer, build
from tests.mutants.faults import Fault, all_faults, copy
from tests.mutants.suite import instance, prompts
from verify.cli import progress
from verify.theorem1.check import check_prompt


@dataclass(frozen=True)
class Outcome:
    """What verification said of a fault: the first layer whose lemma does not hold, None if all do."""

    fault: Fault
    blamed: str | None


def first_fault(model: Transformer) -> str | None:
    """The first layer at fault over all prompts of the suite."""
    one = instance()
    order = [layer.name for layer in model.layers]
    blamed = [
        lemma.name for prompt in prompts() for lemma in check_prompt(model, one.tasks, prompt, one.feature_map) if not lemma.holds
    ]
    return min(blamed, key=order.index, default=None)


def outcomes() -> Iterator[Outcome]:
    """Strike each fault on a fresh copy and verify it."""
    one = instance()
    model = build(one.spec, one.tasks, one.feature_map)
    faults = all_faults(model)
    for fault in progress(faults, len(faults), f"striking {len(faults)} faults"):
        struck = copy(model)
        fault.strike(struck)
        yield Outcome(fault, first_fault(struck))


def main() -> int:
    """Print the counts by layer and the survivors; 0 if at least 99% are rejected, each at its own layer."""
    results = list(outcomes())
    rejected = [outcome for outcome in results if outcome.blamed is not None]
    named = [outcome for outcome in rejected if outcome.blamed == outcome.fault.layer]
    by_layer, caught = Counter(o.fault.layer for o in results), Counter(o.fault.layer for o in rejected)
    for layer, count in by_layer.items():
        print(f"{layer:10} {caught[layer]:4} of {count:4} faults rejected")
    print(f"{len(rejected)} of {len(results)} rejected ({len(rejected) / len(results):.2%}), {len(named)} at the right layer")
    for outcome in results:
        if outcome.blamed is None:
            print(f"survivor: {outcome.fault.layer}: {outcome.fault.name}")
        elif outcome.blamed != outcome.fault.layer:
            print(f"blamed on {outcome.blamed}: {outcome.fault.layer}: {outcome.fault.name}")
    return 0 if len(rejected) >= 0.99 * len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
