"""The type checker that the import hook in conftest.py applies to every function and dataclass of
the packages."""

from beartype import BeartypeConf, beartype

# An int is a float where a float is asked for, as static type checkers have it (PEP 484).
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
