"""How sure a mean and a difference are: intervals, tests and what could have been seen, by groups of questions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 4_000
FLIPS = 10_000
TOGETHER = 10
"""Differences that an evaluation of all four systems corrects together: facts and tone of five pairs."""
DISCORDANT = 0.5
"""A wide guess, for before anything was asked."""
EXACT = 12
"""Groups; up to so many, every way to flip their signs is tried."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval; low and high are None with fewer than two groups."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference:
    """A mean paired difference with its 95 % interval, two-sided p, and what would have been seen."""

    value: float
    low: float
    high: float
    p: float
    detectable: float
    """The true difference that such data show at the 5 % level in 80 % of studies, alone; 0 if nothing varied."""
    error: float
    """Its cluster-robust standard error."""
    groups: int


def interval(values: Sequence[float], groups: Sequence[str], seed: int = 0, share: bool = False) -> Interval | None:
    """The mean and its percentile bootstrap interval, drawing whole groups; None without values.

    `share` says that the values lie in 0 to 1. Where all of them are 0, or all 1, no resample differs and the
    bootstrap would claim to be certain; the exact binomial limit (Clopper and Pearson 1934) on the number of
    groups stands in.
    """
    if not values:
        return None
    sums, sizes = _by_group(values, groups)
    mean = float(sums.sum() / sizes.sum())
    if len(sums) < 2:
        return Interval(mean, None, None)
    if share and set(values) in ({0.0}, {1.0}):
        reach = 1 - 0.025 ** (1 / len(sums))
        return Interval(mean, 0.0, reach) if mean == 0 else Interval(mean, 1 - reach, 1.0)
    low, high = _resampled(sums, sizes, seed)
    return Interval(mean, low, high)


def difference(left: Sequence[float], right: Sequence[float], groups: Sequence[str],
               seed: int = 0) -> Difference | None:
    """The mean of left - right over pairs (same question), with groups of questions as the unit.

    None with fewer than two groups. The interval is the percentile cluster bootstrap; p is the cluster
    sign-flip permutation test, which holds its level at any number of groups if, with no effect, a group's
    summed difference is as likely to have either sign.
    """
    return _contrast(np.subtract(left, right), groups, seed)


def interaction(both: Sequence[float], one: Sequence[float], other: Sequence[float], neither: Sequence[float],
                groups: Sequence[str], seed: int = 0) -> Difference | None:
    """Whether two switches do more together than apart: (both - one) - (other - neither), paired as `difference`."""
    return _contrast(np.subtract(both, one) - np.subtract(other, neither), groups, seed)


def no_worse(found: Difference, margin: float) -> float:
    """One-sided p that the true difference lies below -`margin`: non-inferiority (Piaggio et al. 2012)."""
    return _one_sided(found.value + margin, found)


def equivalent(found: Difference, margin: float) -> float:
    """The p of two one-sided tests that the true difference lies outside ±`margin` (Schuirmann 1987)."""
    return max(no_worse(found, margin), _one_sided(margin - found.value, found))


def _one_sided(distance: float, found: Difference) -> float:
    """p of a t test with as many degrees of freedom as there are groups but one.

    Where no group differs from another, nothing is known of the variance: it is then the chance that none of so many
    would, if each did by 1 with probability `distance`.
    """
    from scipy.stats import t

    if found.error == 0:
        return (1 - min(1.0, max(0.0, distance))) ** found.groups
    return float(t.sf(distance / found.error, found.groups - 1))


def standard_errors(tests: int = 1) -> float:
    """How many standard errors a true difference must lie from 0 to be shown in 80 % of studies, one of `tests`.

    The normal quantiles of a two-sided test at 5 % divided by `tests`, which is what Holm's correction asks of the
    first of them that it shows (Holm 1979), and of 80 %: 2.80 for one test, 3.65 for ten.
    """
    from scipy.stats import norm

    return float(norm.isf(0.025 / tests) + norm.ppf(0.8))


def visible(questions: int) -> float:
    """The smallest true difference of shares that so many paired questions show in four of five evaluations.

    For one of TOGETHER pairs, where the two systems of each are right on different questions in DISCORDANT of them: the
    variance of a paired difference of shares is then at most that (Connor 1987).
    """
    return standard_errors(TOGETHER) * math.sqrt(DISCORDANT / max(questions, 1))


def questions_needed(detectable: float, questions: int, difference: float) -> int:
    """How many questions like these show a true `difference` in 80 % of studies, where so many show `detectable`.

    The standard error falls as one over the root of their number (Miller 2024, arXiv 2411.00640, section 5).
    """
    return math.ceil(questions * (detectable / difference) ** 2 - 1e-9)


def holm(ps: Sequence[float]) -> list[float]:
    """The p values adjusted for their number (Holm 1979), in the order given."""
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = highest
    return adjusted


def _contrast(values: ArrayLike, groups: Sequence[str], seed: int) -> Difference | None:
    values = np.asarray(values, dtype=float)
    if not len(values):
        return None
    sums, sizes = _by_group(values, groups)
    if len(sums) < 2:
        return None
    low, high = _resampled(sums, sizes, seed)
    error = _standard_error(sums, sizes)
    return Difference(float(sums.sum() / sizes.sum()), low, high, _sign_flip(sums, seed), standard_errors() * error,
                      error, len(sums))


def _by_group(values: ArrayLike, groups: Sequence[str]) -> tuple[Numbers, Numbers]:
    """The sum and the size of each group; a mean of resampled groups needs no more."""
    numbers = np.asarray(values, dtype=float)
    if len(numbers) != len(groups):
        raise ValueError(f"{len(numbers)} values but {len(groups)} groups")
    _, places = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    sums: Numbers = np.bincount(places, weights=numbers).astype(np.float64)
    sizes: Numbers = np.bincount(places).astype(np.float64)
    return sums, sizes


def _resampled(sums: Numbers, sizes: Numbers, seed: int) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of the mean over resamples of whole groups."""
    random = np.random.default_rng(seed)
    drawn = random.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=RESAMPLES)
    low, high = np.percentile((drawn @ sums) / (drawn @ sizes), [2.5, 97.5])
    return float(low), float(high)


def _sign_flip(sums: Numbers, seed: int) -> float:
    """Two-sided p that group sums so far from 0 arise when each could as well have had the other sign.

    Where all that differ do so by the same amount, as right and wrong answers do, it is McNemar's exact test.
    """
    from scipy.stats import binomtest

    count, moved = len(sums), sums[sums != 0]
    if not len(moved) or np.ptp(np.abs(moved)) == 0:
        return float(binomtest(int((moved > 0).sum()), len(moved)).pvalue) if len(moved) else 1.0
    if count <= EXACT:
        signs = 1.0 - 2.0 * (np.arange(2**count)[:, None] >> np.arange(count) & 1)
    else:
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(FLIPS, count))
    far = np.abs(signs @ sums) >= abs(sums.sum()) - 1e-9 * max(1.0, float(np.abs(sums).sum()))
    if count <= EXACT:
        return float(far.mean())
    return float((1 + far.sum()) / (1 + FLIPS))


def _standard_error(sums: Numbers, sizes: Numbers) -> float:
    """The cluster-robust standard error of the mean, with C/(C-1) (Miller 2024, arXiv 2411.00640, appendix A)."""
    off = sums - sizes * sums.sum() / sizes.sum()
    count = len(sums)
    return math.sqrt(count / (count - 1) * float((off**2).sum())) / float(sizes.sum())


class Outcome(StrEnum):
    """What a change did to a score, held against a margin."""

    GAINED = "gained"
    KEPT = "kept"
    FORGOT = "forgot"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Comparison:
    """Means before and after a change, their paired difference with its 95 % interval, and what that shows."""

    before: float
    after: float
    n: int
    difference: float
    low: float
    high: float
    detectable: float
    margin: float
    outcome: Outcome

    def __str__(self) -> str:
        """The difference, its interval and the margin, for people."""
        return (f"difference {self.difference:+.2f}, 95 % interval {self.low:+.2f} to {self.high:+.2f}, margin "
                f"{self.margin:.2f}")


def compare(before: Sequence[float], after: Sequence[float], ids: Sequence[str], margin: float) -> Comparison:
    """Two measurements of the same items, by the rule of non-inferiority trials (Piaggio et al. 2012, JAMA 308: 2594).

    KEPT when the interval's lower end is above -`margin`; FORGOT when the difference is below -`margin` and the
    interval's upper end below 0; else CANNOT_TELL. ValueError with fewer than two items.
    """
    found = difference(after, before, ids)
    if found is None:
        raise ValueError(f"{len(ids)} items are too few to compare")
    outcome = Outcome.CANNOT_TELL
    if found.low > -margin:
        outcome = Outcome.KEPT
    elif found.value < -margin and found.high < 0:
        outcome = Outcome.FORGOT
    return Comparison(sum(before) / len(before), sum(after) / len(after), len(ids), found.value, found.low, found.high,
                      found.detectable, margin, outcome)
