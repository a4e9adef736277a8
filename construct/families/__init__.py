"""Task families on words and numbers: exact over one-hot vocabularies, so that an answer is a
probability distribution.

Families that need a data package (country names, number words) are in `verify.families`.
"""

from construct.families.ab import ab
from construct.families.columns import from_table
from construct.families.family import Family
from construct.families.letters import ret, word
from construct.families.plus import plus

__all__ = ["Family", "ab", "from_table", "plus", "ret", "word"]
