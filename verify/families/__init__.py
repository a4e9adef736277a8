"""The families as text: how an example is written, how a family is opened, and random examples of
it."""

import re
import string
from collections.abc import Mapping
from functools import cache

import numpy as np

from construct import checks, families
from construct.families import Family
from construct.families.ab import GREATEST, LEAST
from construct.families.family import Words
from construct.families.letters import RET_LETTERS
from verify import extras
from verify.families.add_translate import add_translate
from verify.families.country import countries, country
from verify.families.writing import Writing

__all__ = ["WRITINGS", "Writing", "language_words", "open_family"]


def _pair(rng: np.random.Generator) -> Words:
    return tuple(str(number) for number in rng.integers(LEAST, GREATEST + 1, 2))


def _distinct_letters(rng: np.random.Generator) -> Words:
    # Eight different letters: each example tells the eight tasks apart.
    return ("".join(rng.choice(list(string.ascii_lowercase), RET_LETTERS, replace=False)),)


def _language(rng: np.random.Generator) -> Words:
    return (str(rng.choice(language_words())),)


@cache
def language_words() -> tuple[str, ...]:
    """A list of words: the English names of languages that are plain words (Unicode CLDR, by
    Babel), in lower case."""
    from babel import Locale

    names = {name.lower() for name in Locale("en").languages.values()}
    return tuple(sorted(name for name in names if re.fullmatch("[a-z]{3,8}", name)))


def open_family(
    name: str, longest: int = 8, writings: Mapping[str, Writing] | None = None
) -> Family:
    """A family by name, for words of up to `longest` letters, of those in `writings` (default: of
    this module). Raises ValueError for an unknown name or a missing package."""
    known = WRITINGS if writings is None else writings
    if name not in known:
        raise checks.refuse(
            "family", repr(name), f"must be one of {', '.join(known)}", "pass one of these"
        )
    try:
        return known[name].open(longest)
    except ModuleNotFoundError as error:
        raise checks.refuse(
            "family",
            name,
            f"needs the package {error.name}",
            extras.hint(error.name or name),
        ) from None


WRITINGS = {
    "AB": Writing(
        "23@41=",
        re.compile(r"(\d+)\s*@\s*(\d+)\s*="),
        lambda size: families.ab(),
        _pair,
        "{0[0]}@{0[1]}=".format,
    ),
    "add_translate": Writing(
        "23+41->",
        re.compile(r"(\d+)\s*\+\s*(\d+)\s*->"),
        lambda size: add_translate(),
        _pair,
        "{0[0]}+{0[1]}->".format,
    ),
    "country": Writing(
        "France->",
        re.compile(r"([^\d@+]+)->"),
        lambda size: country(),
        lambda rng: (str(rng.choice(list(countries()))),),
        "{0[0]}->".format,
    ),
    "word": Writing(
        "banana->", re.compile(r"([A-Za-z]+)->"), families.word, _language, "{0[0]}->".format
    ),
    "ret": Writing(
        "abcdefgh->",
        re.compile(rf"([a-z]{{{RET_LETTERS}}})->"),
        lambda size: families.ret(),
        _distinct_letters,
        "{0[0]}->".format,
    ),
    "plus": Writing(
        "7->",
        re.compile(r"(\d)->"),
        lambda size: families.plus(),
        lambda rng: (str(rng.integers(10)),),
        "{0[0]}->".format,
    ),
}
