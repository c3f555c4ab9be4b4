"""Student's t distribution in plain Python: the tail probability and the quantile that intervals and tests need."""

from __future__ import annotations

import math
from functools import cache


def two_sided(t: float, df: int) -> float:
    """P(|T| >= |t|) with `df` degrees of freedom: the regularised incomplete beta I(df / (df + t^2); df/2, 1/2)."""
    if math.isinf(t):
        return 0.0
    return _incomplete_beta(df / (df + t * t), df / 2, 0.5)


@cache
def quantile(coverage: float, df: int) -> float:
    """The t of which |T| <= t holds with probability `coverage`, by bisection."""
    low, high = 0.0, 1.0
    while two_sided(high, df) > 1 - coverage:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided(middle, df) > 1 - coverage else (low, middle)
    return high


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """I(x; a, b) for 0 <= x <= 1 (Abramowitz & Stegun 26.5.8, on the side where the fraction converges fast)."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    return front * _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """1 / (1 + d1 / (1 + d2 / (1 + ...))) by Lentz's method: the ratios of its numerators and denominators."""
    upper, lower, value = 1.0, 0.0, 1.0
    for n in range(1, 1000):
        m, odd = divmod(n, 2)
        if odd:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        lower = 1 / (1 + d * lower)
        upper = 1 + d / upper
        value *= upper * lower
        if abs(upper * lower - 1) < 1e-15:
            break
    return 1 / value
