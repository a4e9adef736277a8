"""Tasks on letters: `word` has the first and the last letter of a word and their capitals, `ret`
the i-th of eight letters."""

import string

import numpy as np

from construct.families.family import BLANK, Family, Weights, Words, matrix
from construct.tasks import Task

RET_LETTERS = 8


def word(longest: int) -> Family:
    """First letter, last letter, and their capitals, of words of up to `longest` letters.

    The first letter is in slot 0, the last in slot n - 2, the others between, blanks after them
    where a word is short. A one-letter word is both its first and its last letter.
    """
    slots = max(longest, 2)
    letters = tuple(string.ascii_letters)

    def weights(words: Words) -> Weights:
        same = np.eye(len(words))
        capital = matrix(words, {letter: letter.upper() for letter in letters})
        places = ((0, same), (slots - 1, same), (0, capital), (slots - 1, capital))
        return [Task(slot=slot, weight=weight) for slot, weight in places], None

    def layout(words: Words) -> Words:
        (text,) = words
        head = tuple(text[:-1]) or (text[-1],)
        return (*head, *(BLANK,) * (slots - 1 - len(head)), text[-1])

    return Family(
        name="word",
        vocabulary=letters,
        domain=frozenset(letters),
        functions={
            "first": lambda words: words[0][0],
            "last": lambda words: words[0][-1],
            "First": lambda words: words[0][0].upper(),
            "Last": lambda words: words[0][-1].upper(),
        },
        weights=weights,
        slots=slots,
        layout=layout,
    )


def ret(length: int = RET_LETTERS) -> Family:
    """ret1, ret2, ...: the i-th of so many lower-case letters, eight unless said otherwise."""
    letters = tuple(string.ascii_lowercase)
    return Family(
        name="ret",
        vocabulary=letters,
        domain=frozenset(letters),
        functions={f"ret{i + 1}": lambda words, i=i: words[0][i] for i in range(length)},
        weights=lambda words: (
            [Task(slot=i, weight=np.eye(len(words))) for i in range(length)],
            None,
        ),
        slots=length,
        layout=lambda words: tuple(words[0]),
    )
