"""Strike every fault, verify, and print how many are rejected and which survive."""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.mutants import entries
from tests.mutants.faults import Fault, all_faults, copy
from tests.mutants.suite import SUITES, Suite
from verify.cli import progress


@dataclass(frozen=True)
class Outcome:
    """What verification said of a fault: the first layer whose lemma does not hold, None if
    all do."""

    fault: Fault
    blamed: str | None


def outcomes(suite: Suite) -> Iterator[Outcome]:
    """Strike each fault on a fresh copy and verify it."""
    model = suite.build()
    faults = all_faults(suite, model)
    for fault in progress(
        faults, len(faults), f"striking {len(faults)} faults in {suite.theorem.name}"
    ):
        struck = copy(model)
        fault.strike(struck)
        yield Outcome(fault, suite.first_fault(struck))


def report(suite: Suite) -> bool:
    """Print the counts by layer and the survivors; whether at least 99% are rejected."""
    results = list(outcomes(suite))
    rejected = [outcome for outcome in results if outcome.blamed is not None]
    named = [outcome for outcome in rejected if outcome.blamed == outcome.fault.layer]
    by_layer, caught = (
        Counter(o.fault.layer for o in results),
        Counter(o.fault.layer for o in rejected),
    )
    print(suite.theorem.name)
    for layer, count in by_layer.items():
        print(f"{layer:10} {caught[layer]:4} of {count:4} faults rejected")
    print(
        f"{len(rejected)} of {len(results)} rejected ({len(rejected) / len(results):.2%}), "
        f"{len(named)} at the right layer"
    )
    for outcome in results:
        if outcome.blamed is None:
            print(f"survivor: {outcome.fault.layer}: {outcome.fault.name}")
        elif outcome.blamed != outcome.fault.layer:
            print(f"blamed on {outcome.blamed}: {outcome.fault.layer}: {outcome.fault.name}")
    return len(rejected) >= 0.99 * len(results)


def main() -> int:
    """Report on every theorem; 0 if at least 99% of each one's faults are rejected, and of
    Theorem 1's single entries all but what rounding explains."""
    held = [report(suite) for suite in SUITES] + [entries.report()]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
