"""Every lemma of the paper proof says where it is machine-checked, and that is true."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "proofs" / "README.md").read_text()
# A lemma's section, up to the next heading.
LEMMAS = dict(
    re.findall(r"^### Lemma (\d) .*?\n(.*?)(?=^###? )", README, flags=re.MULTILINE | re.DOTALL)
)
NAMED = r"Machine-checked: (.*?)\.\n"


def told(text: str) -> list[tuple[str, str]]:
    """The theorems that a text names, each with its file."""
    pairs: list[tuple[str, str]] = []
    for sentence in re.findall(NAMED, text, flags=re.DOTALL):
        names: list[str] = []
        for word in re.findall(r"`([^`]+)`", sentence):
            if word.endswith(".v"):
                pairs += [(name, word) for name in names]
                names = []
            else:
                names.append(word)
    return pairs


def stated(name: str, source: str) -> bool:
    """Whether a Rocq source states this theorem."""
    return bool(re.search(rf"^(Theorem|Lemma|Corollary) {name}\b", source, flags=re.MULTILINE))


def test_the_seven_lemmas_have_a_place_each():
    layers = sorted(path.stem for path in (ROOT / "construct" / "theorem1").glob("layer*.py"))
    assert sorted(LEMMAS) == [stem[len("layer")] for stem in layers]
    for stem in layers:
        number, verb = stem[len("layer") :].split("_")
        assert told(LEMMAS[number])[0] == (f"{verb}_lemma", f"proofs/rocq/{stem}.v")


@pytest.mark.parametrize(("name", "file"), told(README))
def test_what_is_said_to_be_machine_checked_is(name, file):
    assert stated(name, (ROOT / file).read_text())


def test_a_wrong_name_is_caught():
    assert told("Machine-checked: `a`, `b` in `x.v`, `c` in `y.v`.\n") == [
        ("a", "x.v"),
        ("b", "x.v"),
        ("c", "y.v"),
    ]
    assert not stated("lift_lemma", "Theorem lift_lemma_2 : True.\n(* Theorem lift_lemma *)")
