"""The methods, a file each: TITLE, find(material) -> Finding, draw(axis, values). A new one is a
file and a name in this list."""

from types import ModuleType

from verify.bench.methods import (
    attribution,
    collapse,
    completed,
    decodability,
    distributions,
    geometry,
    label_heads,
    patching,
    positions,
    probes,
    sweep,
    task_mean,
)

ALL: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        distributions,
        sweep,
        positions,
        patching,
        completed,
        geometry,
        label_heads,
        decodability,
        task_mean,
        attribution,
        probes,
        collapse,
    )
}

# What a set is asked unless the plan says otherwise: all but what needs answers of several words.
USUAL = tuple(name for name in ALL if name != "collapse")
