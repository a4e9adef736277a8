"""The command `python -m verify.cluster`: check that the devices of several processes answer as one
device does.

Each process of a cluster runs it. What the user starts is a supervisor that never touches JAX; the
work is done in a child. When another process of the cluster dies, JAX may raise in the child, wait,
or abort the child with pages of its own messages: the supervisor makes one line and an exit code of
all three.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from typing import NoReturn

from verify import cli

PROG = "python -m verify.cluster"
LOST = 3


def parser() -> cli.Parser:
    """The options of the command."""
    parser = cli.Parser(
        PROG,
        description="Answer random prompts of Theorem 1 on the devices of all processes, and "
        "compare with one device. Start it "
        "once per process, the same but for --process.",
        epilog="Exit codes: 0 all answers agree, 1 some do not, 2 a bad request, 3 another process "
        "of the cluster is gone.",
    )
    add = parser.add_argument
    add(
        "--coordinator",
        type=address,
        required=True,
        metavar="HOST:PORT",
        help="where process 0 listens; the same everywhere",
    )
    add(
        "--processes",
        type=cli.whole(1),
        required=True,
        metavar="N",
        help="processes of the cluster",
    )
    add("--process", type=cli.whole(0), required=True, metavar="I", help="this process, 0 to N - 1")
    add(
        "--heads",
        type=cli.whole(1),
        default=1,
        metavar="H",
        help="devices that share the heads of an example (1)",
    )
    add(
        "--timeout",
        type=cli.whole(5),
        default=60,
        metavar="S",
        help="seconds without a sign of life until a process is lost (60)",
    )
    add("--K", type=cli.whole(1), default=8, help="tasks, and heads per layer (8)")
    add("--d", type=cli.whole(1), default=16, help="dimension of the vectors (16)")
    add("--m", type=cli.whole(1), default=10000, help="in-context examples (10000)")
    add(
        "--n", type=cli.whole(2), default=3, help="tokens per example: n - 1 inputs and a label (3)"
    )
    add("--prompts", type=cli.whole(1), default=1, help="random prompts to check (1)")
    add(
        "--seed",
        type=cli.whole(0),
        default=0,
        help="seed of the random tasks and prompts; the same everywhere (0)",
    )
    add(
        "--dtype",
        choices=("float32", "float64"),
        default="float32",
        help="floating-point format (float32)",
    )
    add("--log", metavar="PATH", help="keep the messages of JAX there")
    add("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser


def address(text: str) -> str:
    """An argparse type: HOST:PORT."""
    host, _, port = text.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} must be HOST:PORT, for example node0:1234")
    return text


def supervise(arguments: list[str], options: argparse.Namespace) -> int:
    """Run the worker and give its exit code, with at most one line on stderr, whatever becomes of
    it."""
    with open(options.log, "w+") if options.log else tempfile.TemporaryFile("w+") as log:
        command = [sys.executable, "-m", "verify.cluster", *arguments, "--worker"]
        # The worker reads its stdin to the end: that comes when this process ends, however it does.
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log)
        try:
            code = child.wait()
        finally:
            child.kill()
            child.wait()
            if child.stdin is not None:
                child.stdin.close()
        log.seek(0)
        said = log.read().splitlines()
    own = [line for line in said if line.startswith(PROG)]
    if code in (cli.HOLDS, cli.FAILS, cli.BAD_REQUEST, LOST) and (own or not code):
        print(*own[-1:], sep="\n", end="\n" if own else "", file=sys.stderr)
        return code
    if code == cli.FAILS:  # a traceback: a fault of this program, to be seen whole
        print(*said, sep="\n", file=sys.stderr)
        return code
    print(
        f"{lost(options)} (its worker ended with code {code}; "
        "--log PATH keeps what JAX says of it)",
        file=sys.stderr,
    )
    return LOST


def lost(options: argparse.Namespace) -> str:
    """The one line of a process that misses another one."""
    return (
        f"{PROG}: process {options.process} of {options.processes}: another one is gone, or "
        "did "
        "not come; start all of them again"
    )


def work(options: argparse.Namespace) -> NoReturn:
    """Join the cluster, answer and compare; ends the process without waiting for others that may be
    gone."""
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    # Libraries that print to stdout themselves go to stderr, where the supervisor keeps what they
    # say.
    sys.stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        code = _work(options)
    except ConnectionError:
        print(lost(options), file=sys.stderr)
        code = LOST
    except (ValueError, MemoryError) as error:
        print(f"{PROG}: {' '.join(str(error).split())}", file=sys.stderr)
        code = cli.BAD_REQUEST
    except Exception:
        traceback.print_exc()
        code = cli.FAILS
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _end_with_supervisor() -> NoReturn:
    sys.stdin.buffer.read()
    os._exit(LOST)


def _work(options: argparse.Namespace) -> int:
    import jax

    try:
        jax.distributed.initialize(
            options.coordinator,
            options.processes,
            options.process,
            initialization_timeout=options.timeout,
            heartbeat_timeout_seconds=options.timeout,
            shutdown_timeout_seconds=options.timeout,
        )
    except jax.errors.JaxRuntimeError as error:
        raise ConnectionError(str(error)) from error
    holds = compare(options)
    jax.distributed.shutdown()
    return cli.HOLDS if holds else cli.FAILS


def compare(options: argparse.Namespace) -> bool:
    """Answer the prompts on all devices and on one: whether they agree, to the bit or, with heads
    shared, up to rounding."""
    import jax
    import numpy as np
    from jax.sharding import Mesh

    from construct import build
    from construct.checks import refuse
    from proofs.theorem1 import error_bound
    from verify.draw import draw_instance, draw_prompt

    devices = np.array(jax.devices())
    if len(devices) % options.heads:
        raise refuse(
            "--heads",
            options.heads,
            f"must divide the {len(devices)} devices of the cluster",
            "pass a divisor",
        )
    mesh = Mesh(devices.reshape(-1, options.heads), ("examples", "heads"))
    rng = np.random.default_rng(options.seed)
    instance = draw_instance(
        rng, K=options.K, d=options.d, m=options.m, n=options.n, dtype=options.dtype
    )
    model = build(instance.spec, instance.tasks, instance.feature_map)
    allowed = 0.0 if options.heads == 1 else 2 * error_bound(instance.spec)
    holds = True
    for index in range(options.prompts):
        prompt = draw_prompt(rng, instance)
        blocks = [(prompt.inputs, prompt.labels)]
        shared, one = (
            model.stream(blocks, prompt.query, mesh=mesh),
            model.stream(blocks, prompt.query),
        )
        apart = float(np.abs(shared.vector - one.vector).max())
        agree = apart <= allowed and np.array_equal(shared.recognized, one.recognized)
        print(
            f"process {options.process} of {options.processes}, prompt {index}: {len(devices)} "
            "devices, "
            f"{prompt.examples} examples, {'agree' if agree else 'DISAGREE'} with one device: "
            f"difference {apart:.3g}, allowed {allowed:.3g}",
            flush=True,
        )
        holds &= agree
    return holds


def main() -> int:
    """Supervise a worker, or be one."""
    options = parser().parse_args()
    if options.process >= options.processes:
        raise ValueError(
            f"--process {options.process}: must be below --processes = {options.processes}; they "
            "count from 0"
        )
    if options.worker:
        work(options)
    return supervise(sys.argv[1:], options)


if __name__ == "__main__":
    cli.run(main, PROG)
