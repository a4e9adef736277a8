"""The machine-checked proof is linked to the package, and its check fails on what it must not pass.

`make proof` installs Rocq and compiles the proof; without that these tests are skipped.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROOF = ROOT / "proofs" / "rocq"
FLAGS = ["-Q", ".", "Theorem1", "-w", "-notation-overridden,-ambiguous-paths"]
pytestmark = pytest.mark.skipif(
    shutil.which("coqc") is None or not (PROOF / "theorem1.vo").exists(),
    reason="the proof is not compiled: make proof",
)


@pytest.fixture
def proof(tmp_path):
    """A copy of the compiled proof."""
    folder = tmp_path / "rocq"
    shutil.copytree(PROOF, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def coqc(folder, name):
    """Compile one file; the completed process."""
    command = ["coqc", *FLAGS, name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def check(folder):
    """The check of open proofs and axioms on all files; the completed process."""
    files = sorted(path.name for path in folder.glob("*.v") if path.name != "assumptions.v")
    command = ["sh", "check.sh", " ".join(FLAGS), *files]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def generated(module):
    """What a generator prints."""
    command = [sys.executable, "-m", f"proofs.rocq.{module}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_nothing_is_smuggled(proof):
    found = check(proof)
    assert found.returncode == 0, found.stderr
    assert "Stdlib's axioms alone" in found.stdout


def test_an_open_proof_is_seen(proof):
    with (proof / "widths.v").open("a") as file:
        file.write("\nLemma left_open : False. Proof. Admitted.\n")
    found = check(proof)
    assert found.returncode != 0
    assert "left open" in found.stderr


def test_an_axiom_is_seen(proof):
    """One that no word in the file gives away: a section's variable outside of any section."""
    planted = "From Theorem1 Require Import statement.\nHypothesis wish : theorem1_statement.\n"
    (proof / "wish.v").write_text(planted)
    assert coqc(proof, "wish.v").returncode == 0
    assumptions = (proof / "assumptions.v").read_text()
    assumptions = assumptions.replace("statement theorem1", "statement theorem1 wish")
    (proof / "assumptions.v").write_text(
        assumptions.replace("(theorem1, ", "(wish.wish, theorem1, ")
    )
    found = check(proof)
    assert found.returncode != 0
    assert "unexpected axiom" in found.stderr


def test_a_failure_of_the_compiler_is_seen(proof):
    with (proof / "assumptions.v").open("a") as file:
        file.write("\nCheck (theorem1 : False).\n")
    found = check(proof)
    assert found.returncode != 0
    assert "coqc failed" in found.stderr


@pytest.mark.slow
def test_the_arrays_that_are_stored_are_the_weights_of_the_proof(proof):
    (proof / "arrays.v").write_text(generated("arrays"))
    found = coqc(proof, "arrays.v")
    assert found.returncode == 0, found.stderr[-2000:]


@pytest.mark.slow
def test_a_changed_entry_is_no_weight_of_the_proof(proof):
    text = generated("arrays")
    start = text.index("Lemma ", text.index("Definition", text.index("Ltac")))
    head, lemma = text[:start], text[start : text.index("Qed.", start) + len("Qed.\n")]
    (proof / "one.v").write_text(head + lemma)
    assert coqc(proof, "one.v").returncode == 0
    entry = lemma.rindex("[::", 0, lemma.index("Proof.")) + len("[::")
    wrong = lemma[:entry] + " 1 +" + lemma[entry:]
    (proof / "one.v").write_text(head + wrong)
    assert coqc(proof, "one.v").returncode != 0


@pytest.mark.slow
def test_the_leak_of_the_proof_is_at_most_what_is_stated(proof):
    (proof / "leaks.v").write_text(generated("leaks"))
    found = coqc(proof, "leaks.v")
    assert found.returncode == 0, found.stderr[-2000:]


@pytest.mark.slow
def test_a_smaller_leak_is_not_proved(proof):
    text = generated("leaks")
    first = text[: text.index("Qed.") + len("Qed.\n")]
    stated = first.index("leak S C <= ") + len("leak S C <= ")
    smaller = first[:stated] + first[stated:].replace(" / ", " / 2 / ", 1)
    assert smaller != first
    (proof / "leaks.v").write_text(smaller)
    assert coqc(proof, "leaks.v").returncode != 0
