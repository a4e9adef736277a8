"""Runtime checks of every annotation, and the Hypothesis profile.

The import hook must be in place before the packages are imported: pytest loads this file before any
test module.
"""

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

from tests import annotations
from tests.browser import chromium

# Before JAX is imported, and for the processes that tests start: what tests see is compiled anew.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

# The edge takes lists, ints and nonsense, and answers with one ValueError: a type checker there
# would speak first.
ROOT = Path(__file__).parent.parent
EDGE = (
    "construct.spec",
    "construct.tasks",
    "construct.prompt",
    "construct.words",
    "construct.theorem4.spec",
)
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in ("construct", "proofs", "verify")
    for path in sorted((ROOT / package).rglob("*.py"))
]
# A package stands for all modules in it, so the one that holds the edge is not named itself.
CHECKED = [name for name in MODULES if not any(f"{edge}.".startswith(f"{name}.") for edge in EDGE)]
install_import_hook(CHECKED, f"{annotations.__name__}.check")

# No deadline: an example may have to compile. A failure prints the blob that reproduces it.
settings.register_profile(
    "tests", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")

# The pieces of memory that Linux lets a process map; a compiled program takes several.
MAPS, MOST = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")


@pytest.fixture(scope="module", autouse=True)
def programs_are_given_up() -> Iterator[None]:
    """After a module, give up the compiled programs if they take half of the memory maps: a process
    that cannot map more memory dies where it compiles. What commands kept from the garbage
    collector for good is given back to it."""
    yield
    gc.unfreeze()
    if MOST.exists() and MAPS.read_bytes().count(b"\n") > int(MOST.read_text()) // 2:
        import jax

        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    with chromium() as found:
        yield found
