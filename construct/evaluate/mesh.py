"""Meshes of devices: which ones can share a prompt, and what becomes of a process that is gone."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax
import numpy as np
from jax.sharding import Mesh

from construct import checks
from construct.spec import Spec

EXAMPLES, HEADS = "examples", "heads"


def check_mesh(spec: Spec, mesh: Mesh) -> None:
    """Raises ValueError for a mesh that cannot share the work."""
    shape = (
        f"a mesh of {dict(mesh.shape)}" if isinstance(mesh, Mesh) else f"a {type(mesh).__name__}"
    )
    if (
        not isinstance(mesh, Mesh)
        or EXAMPLES not in mesh.shape
        or set(mesh.shape) - {EXAMPLES, HEADS}
    ):
        raise checks.refuse(
            "mesh",
            shape,
            "must be a jax.sharding.Mesh with an axis 'examples', and maybe an axis 'heads'",
            "use Mesh(numpy.array(jax.devices()), ('examples',))",
        )
    if spec.K % (heads := mesh.shape.get(HEADS, 1)):
        raise checks.refuse(
            "mesh",
            shape,
            f"'heads' must divide K = {spec.K}",
            f"{heads} does not; leave out that axis",
        )
    owners = [[device.process_index for device in row] for row in rows_of(mesh)]
    if any(len(set(row)) > 1 for row in owners):
        raise checks.refuse(
            "mesh",
            shape,
            "each row of 'heads' must lie in one process",
            "put 'heads' last and make it smaller",
        )
    if {row[0] for row in owners} != set(range(jax.process_count())):
        raise checks.refuse(
            "mesh", shape, "must have devices of every process", "use all of jax.devices()"
        )


def rows_of(mesh: Mesh) -> np.ndarray:
    """The mesh's devices as (examples, heads)."""
    devices = mesh.devices if mesh.axis_names[0] == EXAMPLES else mesh.devices.T
    return devices.reshape(mesh.shape[EXAMPLES], -1)


@contextmanager
def together() -> Iterator[None]:
    """Waiting for other processes: where one is gone the others' collectives fail, and that becomes
    one clear error."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        if jax.process_count() == 1:
            raise
        reason = " ".join(str(error).split())[:200]
        raise ConnectionError(
            f"mesh: process {jax.process_index()} of {jax.process_count()} lost another one "
            f"({reason}); start all of them again"
        ) from error
