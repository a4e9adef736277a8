"""How few parameters a model can have that performs K tasks on vectors of dimension d: a lower
bound for any architecture. Statement, proof and what is counted: proofs/lower_bound.md. Ours."""

import math

from construct import checks


def least_parameters(K: int, d: int, unit_outputs: bool = False) -> int:
    """P >= K d (d - 1): with real weights and no error. unit_outputs: where outputs have norm 1, K
    (d - 1)^2. Raises ValueError for K or d that are no positive whole numbers."""
    K = checks.integer("K", K, 1, "pass at least one task")
    d = checks.integer("d", d, 1, "vectors have at least one coordinate")
    return K * (d - 1) * ((d - 1) if unit_outputs else d)


def least_bits(K: int, d: int, radius: float, error: float) -> float:
    """p P >= K d (d - 1) log2 floor(R / (eps sqrt(d))) bits, for answers of norm up to R within eps
    in max norm. Raises ValueError for a radius or an error that is not positive."""
    radius = checks.real("radius", radius, "pass a bound on the outputs' norms", strict=True)
    error = checks.real("error", error, "pass how far answers may be off", strict=True)
    values = math.floor(radius / (error * math.sqrt(d)))
    return least_parameters(K, d) * (math.log2(values) if values > 1 else 0.0)


def least_word_bits(K: int, d: int, L: int) -> float:
    """p P >= K L (d - 1) log2 d bits, for tasks that are L functions of d words."""
    L = checks.integer("L", L, 1, "an answer is at least one word")
    return least_parameters(K, d) / d * L * math.log2(d)
