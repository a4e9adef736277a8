"""The command: exit codes 0, 1 and 2, one line for a bad request, strict JSON with exactly the
documented keys."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from verify import command, oracle
from verify.theorem import ALL

SMALL = ["--K", "2", "--d", "3", "--m", "6", "--n", "3"]
KEYS = {
    "holds",
    "layers",
    "heads",
    "embedding_dim",
    "embedding_bound",
    "matrices_checked",
    "max_error",
    "error_bound",
    "prompts",
    "seconds",
    "device",
    "lemmas",
    "parameters",
}
PARAMETERS = {
    "K",
    "d",
    "m",
    "n",
    "features",
    "dtype",
    "seed",
    "margin",
    "tolerance",
    "radius",
    "coldness",
    "noise",
    "ambiguous",
}


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command in this process; returns its exit code, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["verify", *arguments])
        with pytest.raises(SystemExit) as caught:
            command.run(ALL[1])
        out, err = capsys.readouterr()
        return caught.value.code, out, err

    return call


def strict(text):
    """JSON without NaN or Infinity."""

    def refuse(name):
        raise AssertionError(name)

    return json.loads(text, parse_constant=refuse)


def test_all_holds(run):
    code, out, err = run(*SMALL, "--noise", "1", "--ambiguous", "1", "--prompts", "2")
    assert (code, err) == (0, "")
    assert "Theorem 1 holds on 2 prompts" in out
    for verb in ("Lift", "Pair", "Recognize", "Commit", "Fetch", "Execute", "Superpose"):
        assert verb in out


def test_json_alone_on_stdout(run):
    code, out, err = run(*SMALL, "--noise", "1", "--json", "-")
    report = strict(out)
    assert (code, err) == (0, "")
    assert set(report) == KEYS
    assert set(report["parameters"]) == PARAMETERS
    assert [set(lemma) for lemma in report["lemmas"]] == [
        {"layer", "name", "holds", "observed", "bound", "least_gap"}
    ] * 7
    assert report["holds"] is True and report["layers"] == 7 and report["heads"] == [2] * 7
    assert report["max_error"] <= report["error_bound"]
    assert report["parameters"]["noise"] == 1


def test_json_in_a_file_beside_the_table(run, tmp_path):
    path = tmp_path / "report.json"
    code, out, _ = run(*SMALL, "--json", str(path))
    assert code == 0 and "Theorem 1 holds" in out
    assert set(strict(path.read_text())) == KEYS


def test_what_does_not_hold_exits_with_1(run, monkeypatch):
    original = oracle.judge

    def wrong(*arguments):
        verdict = original(*arguments)
        verdict.vector[:] += 1e-3
        return verdict

    monkeypatch.setattr(oracle, "judge", wrong)
    code, out, err = run(*SMALL)
    assert code == 1
    assert "DOES NOT HOLD" in out
    assert "does not hold here" in err


BAD = {
    "no such option": ["--k", "4"],
    "K zero": ["--K", "0"],
    "K word": ["--K", "four"],
    "n one": ["--n", "1"],
    "coldness negative": ["--coldness", "-1"],
    "coldness NaN": ["--coldness", "nan"],
    "dtype": ["--dtype", "float16"],
    "too much noise": [*SMALL, "--noise", "7"],
    "ambiguous alone": ["--K", "1", "--ambiguous", "1"],
    "coldness not admissible": [*SMALL, "--coldness", "0.5"],
    "sum slot at n = 2": ["--n", "2", "--sum-slot"],
    "JSON nowhere": [*SMALL, "--json", "/nonexistent/report.json"],
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_one_line(run, name):
    code, out, err = run(*BAD[name])
    assert code == 2
    assert err.startswith("python -m verify.theorem1: ") and err.count("\n") == 1
    assert "Traceback" not in out + err


@pytest.mark.parametrize("path", ["/nonexistent/report.json", "/"])
def test_a_report_that_cannot_be_written_is_known_before_the_run(monkeypatch, run, path):
    monkeypatch.setattr("verify.command.verify", None)  # not run
    code, out, err = run(*SMALL, "--json", path)
    assert (code, out) == (2, "") and f"{path!r} cannot be written" in err


def test_as_a_process():
    root = Path(__file__).parent.parent
    ran = subprocess.run(
        [sys.executable, "-m", "verify.theorem1", "--noise", "99"],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.count("\n") == 1 and "--noise 99" in ran.stderr
