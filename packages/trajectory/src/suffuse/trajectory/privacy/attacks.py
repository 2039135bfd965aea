"""Membership inference: can one tell from a score whether a trip was learned from?

Dimensions: m members (trips learned from), o others.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import norm, rankdata

CONFIDENCE = 0.95

FALSE_ALARMS = 0.01
"""Share of others wrongly called members at which the attack's yield is reported."""


@dataclass(frozen=True, kw_only=True)
class Attack:
    """How well a score tells members from others."""

    auc: float
    """Chance that a random member scores above a random other, ties counting half: 0.5 is a coin."""
    low: float
    """Bounds of the 95 % confidence interval of the AUC."""
    high: float
    caught: float
    """Share of the members that score above all but 1 % of the others: what the attack knows for nearly certain."""
    members: int
    others: int

    @property
    def tells(self) -> bool:
        """Whether the interval leaves the coin out."""
        return not self.low <= 0.5 <= self.high


def attack(members: Float[ndarray, " m"], others: Float[ndarray, " o"]) -> Attack:
    """The area under the ROC curve of a score that should be higher for members.

    Its variance is that of DeLong, DeLong and Clarke-Pearson (1988), which asks nothing of the scores' distribution.
    Trips are taken as independent: several trips of one person make the interval too narrow.

    Raises:
        ValueError: with fewer than two members or others.

    """
    if min(len(members), len(others)) < 2:
        raise ValueError(f"an attack needs at least 2 members and 2 others, got {len(members)} and {len(others)}")
    m, o = len(members), len(others)
    ranks = rankdata(np.concatenate([members, others]))
    above = (ranks[:m] - rankdata(members)) / o  # share of others below each member
    below = 1 - (ranks[m:] - rankdata(others)) / m  # share of members above each other
    auc = float(above.mean())
    error = float(np.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / o)) * float(norm.ppf((1 + CONFIDENCE) / 2))
    limit = np.quantile(others, 1 - FALSE_ALARMS, method="higher")
    return Attack(
        auc=auc,
        low=max(auc - error, 0.0),
        high=min(auc + error, 1.0),
        caught=float((members > limit).mean()),
        members=m,
        others=o,
    )
