"""The proof's table of lemmas is true: every file it names exists, defines what it should, and no
layer is left out."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = re.findall(
    r"^\| (\d) (\w+) \| (.*) \|$", (ROOT / "proofs" / "README.md").read_text(), flags=re.MULTILINE
)


def _files(row: str) -> list[str]:
    return re.findall(r"`([^`]+)`", row)


def _faults(number: str, name: str, row: str, root: Path = ROOT) -> list[str]:
    """What is wrong with a row: a missing file, or a layer's file without its function."""
    weights, bound, check, tests = _files(row)
    faults = [file for file in (weights, bound, check, tests) if not (root / file).is_file()]
    if number != "0" and not faults:
        stem = f"layer{number}_{name.lower()}"
        faults += [file for file in (weights, bound, check, tests) if stem not in file]
        for file, needle in (
            (weights, "def layer("),
            (bound, "def lemma("),
            (check, "def expect("),
            (tests, "def test_"),
        ):
            if needle not in (root / file).read_text():
                faults.append(f"{file} has no {needle}")
    return faults


def test_every_lemma_has_a_row() -> None:
    layers = sorted(path.stem for path in (ROOT / "construct" / "theorem1").glob("layer*.py"))
    assert [f"layer{number}_{name.lower()}" for number, name, _ in ROWS[1:]] == layers
    assert ROWS[0][:2] == ("0", "Selection")


@pytest.mark.parametrize(("number", "name", "row"), ROWS, ids=[name for _, name, _ in ROWS])
def test_row_is_true(number: str, name: str, row: str) -> None:
    assert _faults(number, name, row) == []


def test_a_wrong_row_is_caught() -> None:
    number, name, row = ROWS[3]
    assert _faults(number, name, row.replace("layer3_recognize", "layer3_forget"))
    assert _faults("4", "Commit", row)


def test_every_lemma_has_a_heading() -> None:
    text = (ROOT / "proofs" / "README.md").read_text()
    for number, name, _ in ROWS[1:]:
        assert f"### Lemma {number} ({name})" in text
