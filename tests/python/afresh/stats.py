"""Student's t, resampling, and how far two Monte Carlo results may lie apart."""

import math
from functools import cache
from statistics import NormalDist

import numpy as np

Z = NormalDist().inv_cdf(0.975)


def t_tail(t, df):
    """P(T > t) of Student's t for t >= 0: half the regularised incomplete beta function, by its continued
    fraction (Lentz)."""
    x, a, b = df / (df + t * t), df / 2, 0.5
    if x == 1:
        return 0.5
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    swap = x > (a + 1) / (a + b + 2)
    if swap:
        x, a, b = 1 - x, b, a
    f = c = 1.0
    d = 0.0
    for i in range(1000):
        m = i // 2
        if i == 0:
            step = 1.0
        elif i % 2 == 0:
            step = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            step = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / (1 + step * d)
        c = 1 + step / c
        f *= c * d
        if i > 0 and abs(c * d - 1) < 1e-14:
            break
    beta = front * (f - 1) / a
    return (1 - beta if swap else beta) / 2


@cache
def t_quantile(df, level=0.95):
    lo, hi = 0.0, 1e4
    for _ in range(200):
        middle = (lo + hi) / 2
        lo, hi = (middle, hi) if t_tail(middle, df) > (1 - level) / 2 else (lo, middle)
    return lo


def widening(clusters):
    """Of a bootstrap over few clusters: t over normal quantile, times sqrt(C / (C - 1))."""
    if clusters < 2:
        return math.nan
    return t_quantile(clusters - 1) / Z * math.sqrt(clusters / (clusters - 1))


def counts(n, draws, rng):
    """How often each of n clusters is drawn, (draws, n)."""
    return rng.multinomial(n, np.full(n, 1 / n), size=draws).astype(float)


def balanced(strata, draws, rng):
    """Signs (draws, clusters): half of a stratum's clusters negative, chance deciding of an odd one."""
    signs = np.ones((draws, len(strata)))
    for stratum in np.unique(strata):
        at = np.flatnonzero(strata == stratum)
        half = (len(at) + rng.integers(0, 2, draws)) // 2
        order = np.argsort(rng.random((draws, len(at))), axis=1).argsort(axis=1)
        signs[:, at] = np.where(order < half[:, None], -1.0, 1.0)
    return signs


def fisher(a, n, b, k, tail):
    """How many standard errors of a normal value the chance stands for that of a + b marked among n + k drawn
    alike as few ("few") or as many ("many") as a are among the n (Fisher's exact test)."""
    total, fact = a + b, log_factorials(n + k)
    log = lambda m, c: fact[m] - fact[c] - fact[m - c]
    counted = np.arange(max(0, total - k), a + 1) if tail == "few" else np.arange(a, min(n, total) + 1)
    chance = np.exp(log(n, counted) + log(k, total - counted) - log(n + k, total)).sum()
    return -NormalDist().inv_cdf(min(0.5, max(chance, 1e-300)))


@cache
def log_factorials(n):
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])


def off_quantile(draws, q, n):
    """A function of a stored q quantile of n draws of theirs: how many standard errors its rank among our draws
    is off. Beyond all of ours it is infinitely far; draws may be infinite and may have ties."""
    ours = np.sort(draws)
    theirs, k = math.floor(q * (n - 1)) + 1, len(ours)

    def errors(stored):
        slack = 0 if math.isinf(stored) else 1e-6 * max(1e-3, abs(stored))
        below = int(np.searchsorted(ours, stored - slack, "left"))
        up_to = int(np.searchsorted(ours, stored + slack, "right"))
        if math.isnan(stored) or up_to == 0 or below == k:
            return math.inf
        return max(fisher(theirs, n, below, k, "few"), fisher(theirs, n, up_to, k, "many"))

    return errors


def off_p(b, k, n):
    """A function of a stored p = (1 + b') / (1 + n): how far b' of n is from b of k, in standard errors."""

    def errors(stored):
        theirs = -1 if math.isnan(stored) else round(stored * (1 + n)) - 1
        if abs(stored * (1 + n) - 1 - theirs) > 1e-3 or not 0 <= theirs <= n:
            return math.inf
        return max(fisher(theirs, n, b, k, tail) for tail in ("few", "many"))

    return errors


def at_least(null, observed):
    """Draws at least as far from 0; equal but for rounding counts."""
    return int((np.abs(null) >= abs(observed) * (1 - 1e-9)).sum())


def benjamini_hochberg(p):
    p = np.asarray(p, float)
    order = np.argsort(p)
    raw = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty(len(p))
    q[order] = np.minimum(1, np.minimum.accumulate(raw[::-1])[::-1])
    return q


def holm(p):
    p = np.asarray(p, float)
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(np.minimum(1, p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def pooled(recipes, groups):
    """Variance of fine-tunes about the mean of their condition and its degrees of freedom, over conditions
    (recipe, values) of these recipes; none where one of the recipes shows no spread."""
    squares, df, seen = 0.0, 0, set()
    for recipe, values in groups:
        if recipe in recipes and len(values) > 1:
            squares += float(np.var(values) * len(values))
            df += len(values) - 1
            seen.add(recipe)
    return (squares / df, df) if df and seen >= set(recipes) else (math.nan, 0)


def contrast(value, reach, sides, groups):
    """estimate +- sqrt(reach^2 + t_df^2 V), V = s^2 sum w^2 / n over trained sides (recipe, fine-tunes, weight).
    Returns lo, hi, df and p over fine-tunes."""
    trained = [s for s in sides if s[0] != ""]
    share = sum(w * w / n for _, n, w in trained)
    variance, df = pooled([s[0] for s in trained], groups)
    if not trained or df == 0:
        return value - reach, value + reach, 0, math.nan
    error = math.sqrt(variance * share)
    whole = math.hypot(reach, t_quantile(df) * error)
    p = 2 * t_tail(abs(value / error), df) if error > 0 else math.nan
    return value - whole, value + whole, df, p


def reach(values):
    """t_{n-1} sqrt(s^2 / n)."""
    n = len(values)
    return t_quantile(n - 1) * math.sqrt(np.var(values, ddof=1) / n) if n > 1 else math.nan
