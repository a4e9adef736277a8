"""All questions in one run: one JSON file, one plot.

python -m benchmarks [--out PATH.json] [--sizes small,medium,large] [--batches 1,32]
"""

from benchmarks import (
    accuracy,
    api,
    bf16,
    build,
    device,
    measure,
    memory,
    peers,
    scale,
    speed,
    start,
)

QUESTIONS = (
    peers.QUESTION,
    scale.QUESTION,
    memory.QUESTION,
    bf16.QUESTION,
    device.QUESTION,
    speed.QUESTION,
    start.QUESTION,
    build.QUESTION,
    accuracy.QUESTION,
    api.QUESTION,
)

if __name__ == "__main__":
    measure.command(QUESTIONS, "python -m benchmarks")
