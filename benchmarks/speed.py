"""How long does it take to build the weights, and to run one jitted forward pass?

python -m benchmarks.speed
"""

import resource
import time

import jax
import numpy as np

from construct import build
from construct.forward import run
from construct.prompt import embed, stack
from verify.theorem1.draw import draw_instance, draw_prompt

REPEATS = 101


def build_time(K: int, d: int, m: int) -> tuple[float, float]:
    """Seconds to build a transformer of this size, and the process' peak memory in MB after it."""
    instance = draw_instance(np.random.default_rng(0), K=K, d=d, m=m, n=2)
    jax.numpy.zeros(1).block_until_ready()  # JAX has started up
    started = time.perf_counter()
    model = build(instance.spec, instance.tasks)
    jax.block_until_ready(jax.tree.leaves(model))
    return time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def forward_time(K: int, d: int, m: int, n: int) -> tuple[float, int, int]:
    """Median milliseconds of a jitted forward pass to the answer token, with the number of tokens and the width."""
    rng = np.random.default_rng(0)
    instance = draw_instance(rng, K=K, d=d, m=m, n=n)
    model = build(instance.spec, instance.tasks)
    batch = jax.tree.map(lambda part: jax.numpy.asarray(part[0]), stack([draw_prompt(rng, instance)], instance.spec))

    @jax.jit
    def forward(layers: object, batch: object) -> jax.Array:
        stream, real = embed(batch, model.residual, m)
        return run(layers, stream, real, model.residual)[0]

    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        forward(model.layers, batch).block_until_ready()
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1e3, instance.spec.tokens, model.residual.dim


def main() -> None:
    """Print both."""
    seconds, memory = build_time(64, 256, 1024)
    print(f"build K = 64, d = 256, m = 1024: {seconds:.2f} s, peak memory of the process {memory:.0f} MB")
    for size in ((4, 16, 41, 3), (8, 40, 127, 4)):
        milliseconds, tokens, dim = forward_time(*size)
        print(f"forward K, d, m, n = {size}: D = {dim}, N = {tokens}: {milliseconds:.2f} ms (median of {REPEATS})")


if __name__ == "__main__":
    main()
