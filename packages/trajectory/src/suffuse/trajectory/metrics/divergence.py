"""Jensen-Shannon divergence between what is measured on real trips and on others.

Dimensions: a real values, b other values, h histogram bins.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import entropy

BINS = 99
"""Equal bins between 0 and the largest real value; one more takes everything from there on."""


def jensen_shannon(p: Float[ndarray, " h"], q: Float[ndarray, " h"]) -> float:
    """Jensen-Shannon divergence of two histograms in nats, 0 (alike) to ln 2 (disjoint)."""
    p, q = p / p.sum(), q / q.sum()
    mixture = (p + q) / 2
    return float(entropy(p, mixture) + entropy(q, mixture)) / 2


def histogram_divergence(real: Float[ndarray, " a"], other: Float[ndarray, " b"]) -> float:
    """Divergence in nats over HOSER's bins: 99 equal ones on [0, max of real) and [max of real, inf).

    Even two samples of one distribution differ, by about (bins in use) / 8 * (1/a + 1/b): compare at equal sizes
    only. NaN where a side is empty or all real values are 0 (trips without times).
    """
    top = real.max(initial=0.0)
    if not top > 0 or len(other) == 0:
        return float("nan")
    edges = np.append(np.linspace(0, top, BINS + 1), np.inf)
    return jensen_shannon(
        np.histogram(real, edges)[0].astype(np.float64), np.histogram(other, edges)[0].astype(np.float64)
    )
