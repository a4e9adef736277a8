"""The tables of lemmas in proofs/ are true: every file they name exists, defines what it should,
and no layer is left out."""

import re
from pathlib import Path

import pytest

from tests.test_imports import stems
from verify.theorem import ALL, Theorem

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
    layers = [f"layer{number}_{name.lower()}" for number, name, _ in ROWS[1:]]
    assert layers == stems(ALL[1])
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


# The other theorems' tables: a row may hold several layers, and names the files of their lemmas.
OTHERS = {number: theorem for number, theorem in ALL.items() if number != 1}


def _untrue(theorem: Theorem, text: str, root: Path = ROOT) -> list[str]:
    """What is wrong with the table of a theorem's README: layers left out or out of order, files
    that do not exist or are no layer's, and layers whose row names no file of theirs."""
    rows = re.findall(r"^\| (\d \w+(?:, \d \w+)*) \| (.*?) \|", text, flags=re.MULTILINE)
    listed = [re.findall(r"(\d) (\w+)", layers) for layers, _ in rows]
    told = [f"layer{number}_{name.lower()}" for row in listed for number, name in row]
    faults = [] if told == stems(theorem) else [f"{told} are not {stems(theorem)}"]
    for row, (_, files) in zip(listed, rows, strict=True):
        first = "layer{}_{}.py".format(*row[0]).lower()
        faults += [] if first in _files(files) else [f"{first} is not named"]
        folder = root / "proofs" / f"theorem{theorem.number}"
        faults += [file for file in _files(files) if not (folder / file).is_file()]
    return faults


@pytest.mark.parametrize("theorem", OTHERS.values(), ids=str)
def test_the_other_theorems_tables_are_true(theorem: Theorem) -> None:
    text = (ROOT / "proofs" / f"theorem{theorem.number}" / "README.md").read_text()
    assert _untrue(theorem, text) == []
    for wrong in (
        re.sub(r"^\| 2 .*\n", "", text, flags=re.MULTILINE),
        text.replace("| 1 ", "| 2 ", 1),
        text.replace("`layer1_", "`layer9_", 1),
    ):
        assert wrong != text and _untrue(theorem, wrong)
