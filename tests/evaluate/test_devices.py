"""Several devices give one device's answer: eight virtual ones, and two processes. A process that
is killed is one clear error.

JAX counts its devices once, before the first computation, so that all of this runs in processes of
its own.
"""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.evaluate import two_processes
from verify import cluster

TIMEOUT = 60  # seconds that a run may take on a slow machine; what is tested does not depend on it


def start(*arguments, devices=1, **options):
    """A Python process with virtual devices."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment, **pipes, **options
    )


def free_port():
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
def test_eight_devices():
    process = start(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/evaluate/on_devices.py", devices=8
    )
    out, err = process.communicate()
    assert process.returncode == 0, out[-5000:] + err[-2000:]


@pytest.mark.slow
def test_two_processes(tmp_path):
    _, prompt = two_processes.drawn()
    np.save(tmp_path / "inputs.npy", prompt.inputs)
    np.save(tmp_path / "labels.npy", prompt.labels)
    where = f"127.0.0.1:{free_port()}"
    both = [
        start("-m", two_processes.__name__, where, str(i), str(tmp_path), devices=2)
        for i in range(2)
    ]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(
        err[-2000:] for _, err in said
    )


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_is_one_line_for_the_other(victim):
    where = f"127.0.0.1:{free_port()}"
    small = [
        "--K",
        "2",
        "--d",
        "3",
        "--n",
        "2",
        "--m",
        "600",
        "--prompts",
        "1000000",
        "--timeout",
        str(TIMEOUT),
    ]
    both = [
        start(
            "-m",
            "verify.cluster",
            "--coordinator",
            where,
            "--processes",
            "2",
            "--process",
            str(i),
            *small,
        )
        for i in range(2)
    ]
    survivor = both[1 - victim]
    try:
        first = survivor.stdout.readline()
        assert "agree with one device: difference 0, allowed 0" in first, (
            first + survivor.stderr.read()
        )
        both[victim].kill()
        _, err = survivor.communicate(timeout=2 * TIMEOUT)
    finally:
        for process in both:
            process.kill()
            process.communicate()
    assert survivor.returncode == cluster.LOST
    assert len(err.splitlines()) == 1 and f"process {1 - victim} of 2: another one is gone" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--coordinator", "here", "--processes", "2", "--process", "0"],
            "'here' must be HOST:PORT",
        ),
        (
            ["--coordinator", "here:0", "--processes", "2", "--process", "0"],
            "'here:0' must be HOST:PORT",
        ),
        (
            ["--coordinator", "here:1", "--processes", "2", "--process", "2"],
            "--process 2: must be below",
        ),
        (
            ["--coordinator", "here:1", "--processes", "2", "--process", "0", "--timeout", "1"],
            "whole number >= 5",
        ),
    ],
)
def test_a_bad_request_is_one_line(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cluster", *arguments])
    with pytest.raises(SystemExit) as caught:
        cluster.cli.run(cluster.main, cluster.PROG)
    err = capsys.readouterr().err
    assert (
        caught.value.code == cluster.cli.BAD_REQUEST
        and message in err
        and len(err.splitlines()) == 1
    )
