"""Three sigmoid gates that add up to the identity on [0, 1], almost: how a task vector's
coordinates become weights.

    F(w) = c_1 sigma(0) + c_2 sigma(eps (w - 1/2)) + c_3 sigma(2 eps (w - 1/2))

The coefficients make F(0) = 0, F(1) = 1 and F'(0) = F'(1) = 1. F - 1/2 is odd about 1/2, so that is
three equations. A pure prompt's weights, 0 and 1, are then exact; for the others, with u = w - 1/2:

    F(w) - w = u (u^2 - 1/4)^2 G''(xi)/2,  G(u^2) = (F - 1/2)/u,   |G''/2| about eps^4/30

(a Taylor expansion at 0 would give eps^4 w^5/30). The sum of |c| sigma, by which rounding is
amplified, is 16/(3 eps) at first order. Ours.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Series:
    """The gates' coefficients c and slopes (0, eps, 2 eps).

    remainder: bound on sum_i |F(w_i) - w_i| for any w >= 0 of sum at most 1. background: bound on
    sum_l |c_l| sigma, for w in [0, 1]. slope: bound on |F'| anywhere.
    """

    eps: float
    c: tuple[float, float, float]

    @property
    def slopes(self) -> tuple[float, float, float]:
        """The gains on w - 1/2, by gate."""
        return (0.0, self.eps, 2 * self.eps)

    @property
    def remainder(self) -> float:
        """sum_i |F(w_i) - w_i| <= M sum_i |w_i - 1/2| w_i^2 (1 - w_i)^2 <= M/25, since |w - 1/2| w
        (1 - w)^2 <= 1/25 on [0, 1]."""
        return self.curvature / 25

    @property
    def curvature(self) -> float:
        """M = max |G''|/2 on [0, 1/4], where G(s) = c_2 p(eps, s)/2 + c_3 p(2 eps, s)/2 and p(a, s)
        = tanh(a sqrt(s)/2)/sqrt(s).

        By partial fractions p(a, s) = 4a sum over odd j of 1/(j^2 pi^2 + a^2 s): its second
        derivative falls from a^5/120 at s = 0, by no more than (1 + a^2/(4 pi^2))^3 up to s = 1/4.
        The two terms have opposite signs.
        """

        def second(a: float, c: float) -> tuple[float, float]:
            most = abs(c) / 2 * a**5 / 120
            return most / (1 + a**2 / (4 * math.pi**2)) ** 3, most

        (least_2, most_2), (least_3, most_3) = (
            second(self.eps, self.c[1]),
            second(2 * self.eps, self.c[2]),
        )
        return max(most_2 - least_3, most_3 - least_2) / 2

    @property
    def background(self) -> float:
        """Bound on the sum of |c_l| sigma_l over the gates."""
        return sum(
            abs(c) / (1 + math.exp(-slope / 2))
            for c, slope in zip(self.c, self.slopes, strict=True)
        )

    @property
    def slope(self) -> float:
        """Bound on |F'|: 5/3 at first order."""
        return sum(abs(c) * slope / 4 for c, slope in zip(self.c, self.slopes, strict=True))


def series(eps: float) -> Series:
    """The coefficients at a gain eps, in closed form with t = tanh(eps/4)."""
    # F(1) = 1:  c_2 t + c_3 2t/(1 + t^2) = 1.  F'(1) = 1:  (eps/4) (c_2 (1 - t^2) + 2 c_3 ((1 -
    # t^2)/(1 + t^2))^2) = 1. With B = 2 c_3/(1 + t^2): c_2 + B = 1/t and B 2t^2/(1 + t^2) = 1/t -
    # 4/(eps (1 - t^2)). F(1/2) = 1/2 gives c_1.
    t = math.tanh(eps / 4)
    B = (1 / t - 4 / (eps * (1 - t**2))) * (1 + t**2) / (2 * t**2)
    c_2, c_3 = 1 / t - B, B * (1 + t**2) / 2
    return Series(eps, (1 - c_2 - c_3, c_2, c_3))


def best_eps(rounding: float) -> float:
    """The eps that minimizes eps^4/750 + rounding 16/(3 eps), the leading terms of the remainder
    and of amplified rounding."""
    return (1000 * rounding) ** (1 / 5)
