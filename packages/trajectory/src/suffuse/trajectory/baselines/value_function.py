"""The recursive logit: choosing one segment after another with the whole rest of the way in mind.

Fosgerau, Frejinger and Karlstrom, "A link based network route choice model with unrestricted choice set"
(Transportation Research Part B, 2013), with the scale of the random terms inside the weights. A traveller on segment
k bound for d takes the transition to a with probability

    P(a | k) = exp(v(a|k) + V(a) - V(k)),    V(k) = log sum_a exp(v(a|k) + V(a)),    V(d) = 0          (their eq. 4
    and 3)

where v is minus the cost of the transition and V the expected least cost of all ways on, which may be of any length.
In z = exp V this is the linear system z = M z + b, M the matrix of exp v with row d at 0 and b the unit vector of d
(eq. 6 to 8).

M without that zero is the same for all destinations whose costs are the same, so one sparse LU factorisation serves a
whole zone: with w = (I - M)^-1 b, z = w / w_d. I - M is an M-matrix, whose factors and solutions are sums of terms of
one sign, so that values as small as exp(-700) keep their digits.

Dimensions: s segments, t transitions, f features of a transition.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import sparse
from scipy.sparse.linalg import splu

from suffuse.trajectory.baselines.turn_graph import TurnGraph


class NoValueError(ArithmeticError):
    """The costs are so low that walking round in circles pays: the sums over all ways do not converge."""


class ValueFunction:
    """Values and choices on one graph with one set of transition costs, for any destination.

    Raises `NoValueError` if the spectral radius of M is 1 or more.
    """

    def __init__(self, graph: TurnGraph, cost: Float[ndarray, " t"]) -> None:
        self.graph = graph
        self.weight: Float[ndarray, " t"] = np.where(graph.open, np.exp(-cost), 0.0)
        """exp v of each transition, 0 where closed."""
        size = graph.segments
        matrix = sparse.csc_array((self.weight, (graph.before, graph.after)), shape=(size, size))
        try:
            self._factors = splu(
                sparse.csc_matrix(sparse.eye_array(size, format="csc") - matrix),
                permc_spec="COLAMD",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
            )
        except RuntimeError as error:  # exactly singular
            raise NoValueError(str(error)) from None
        # A matrix with no positive entry off the diagonal is an M-matrix if and only if it takes a positive vector to
        # a positive one (Berman and Plemmons 1994, ch. 6, I27): the solution for a right side of ones is that vector.
        visits = self._factors.solve(np.ones(size))
        if not (np.isfinite(visits).all() and (visits > 0).all()):
            raise NoValueError("the spectral radius of the transition weights is 1 or more")

    @property
    def size(self) -> int:
        """Numbers in the factors, which are nearly all of its memory."""
        return int(self._factors.nnz)

    def values(self, destination: int) -> Float[ndarray, " s"]:
        """z = exp V of every segment: 1 at the destination, 0 where it cannot be reached."""
        unit = np.zeros(self.graph.segments)
        unit[destination] = 1.0
        visits = self._factors.solve(unit)
        return np.maximum(visits / visits[destination], 0.0)

    def choice_weights(self, destination: int) -> Float[ndarray, " t"]:
        """exp(v + V) of every transition: in proportion to the chance of taking it; 0 out of the destination."""
        weights = self.weight * self.values(destination)[self.graph.after]
        weights[self.graph.start[destination] : self.graph.start[destination + 1]] = 0.0
        return weights

    def expected_features(
        self, features: Float[ndarray, "t f"], origin: int, destination: int
    ) -> tuple[float, Float[ndarray, " f"]]:
        """log z of the origin, and the expected sum of the features over a trip from there to the destination.

        The second is minus the derivative of the first by the weights of a cost that is linear in the features.
        """
        graph = self.graph
        unit = np.zeros(graph.segments)
        unit[destination] = 1.0
        visits = self._factors.solve(unit)
        value = visits / visits[destination]
        # Row `origin` of (I - M)^-1, less the way through the destination (Sherman and Morrison): what flows out of
        # each segment before the destination is reached.
        unit[destination], unit[origin] = 0.0, 1.0
        flow = self._factors.solve(unit, trans="T")  # type: ignore[call-overload]  # the stubs leave `trans` out
        onward = np.zeros(graph.segments)
        turns = slice(graph.start[destination], graph.start[destination + 1])
        onward[graph.after[turns]] = self.weight[turns]
        back = self._factors.solve(onward, trans="T")  # type: ignore[call-overload]
        flow = flow - back * (flow[destination] / visits[destination])
        flow[destination] = 0.0
        taken = flow[graph.before] * self.weight * value[graph.after] / value[origin]
        return float(np.log(value[origin])), taken @ features
