"""add_translate: `23+41->` has the sum as its label, in digits, in English, in French or in Spanish
(num2words).

All four tasks read the sum slot through the same hat features; a language is one more table behind
them.
"""

from functools import cache, partial

from construct.families.ab import GREATEST, LEAST
from construct.families.family import BLANK, Family, Weights, Words, vocabulary
from construct.families.hats import number_features, read_number
from construct.tasks import Task

LANGUAGES = {"digits": None, "English": "en", "French": "fr", "Spanish": "es"}


@cache
def spell(number: int, language: str | None) -> str:
    """A number in words of a language, by its two-letter code; in digits for None."""
    if language is None:
        return str(number)
    from num2words import num2words

    return num2words(number, lang=language)


def add_translate() -> Family:
    """The family add_translate over the numbers 10..99. Raises ModuleNotFoundError without
    num2words."""
    numbers = {str(number): number for number in range(LEAST, GREATEST + 1)}
    totals = range(2 * LEAST, 2 * GREATEST + 1)
    names = {
        name: {total: spell(total, code) for total in totals} for name, code in LANGUAGES.items()
    }

    def weights(words: Words) -> Weights:
        among = set(words)
        read = [total for total in totals if any(name[total] in among for name in names.values())]
        return (
            [Task(slot=2, weight=read_number(words, name, read)) for name in names.values()],
            number_features(words, numbers, read),
        )

    def say(pair: Words, language: str) -> str:
        return names[language][int(pair[0]) + int(pair[1])]

    return Family(
        name="add_translate",
        vocabulary=vocabulary(numbers, *(name.values() for name in names.values())),
        domain=frozenset(numbers),
        functions={language: partial(say, language=language) for language in names},
        weights=weights,
        slots=3,
        layout=lambda pair: (*pair, BLANK),
        sum_slot=True,
        dtype="float64",  # numbers up to 198, as in AB
    )
