"""How drivers answer to a changed network: the model's choices, shifted by what the change adds to the way ahead.

What was observed of a city's streets says how its drivers go while nothing is changed. The incremental logit (Ben-Akiva
and Lerman, "Discrete Choice Analysis", 1985, ch. 5: pivot-point analysis) keeps what is known about a choice and moves
it by the change in cost alone,

    p'(c)  in proportion to  p(c) exp(-(C'(c) - C(c))),

C the least cost from the choice to the destination, in nats: the learned cost of the observed drivers (see
`CityFeatures.learned_cost`) and `NATS_PER_MINUTE` of driving time. Where nothing changes nothing moves.

Dimensions: b trips, n nodes, s segments, q masked positions, m candidates.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray

from suffuse.trajectory.model.candidates import Candidates
from suffuse.trajectory.model.city import CityFeatures
from suffuse.trajectory.roads.costs import cost_to_nodes
from suffuse.trajectory.roads.network import RoadNetwork

NATS_PER_MINUTE = 1.0
"""What a minute more on the way counts: see docs/decisions/0016."""

MOST = 30.0
"""No change counts more than this, in nats: exp(-30) is never."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pivot:
    """What a change of the network adds to the way ahead of some trips."""

    ahead: Float32[ndarray, "b n"]
    """Added from each node to each trip's destination, nats."""
    own: Float32[ndarray, " s"]
    """Added on each segment itself, nats."""
    to_node: Int[ndarray, " s"]
    destination: Int[ndarray, " b"]

    @staticmethod
    def towards(city: CityFeatures, before: RoadNetwork, destination: Int[ndarray, " b"]) -> "Pivot":
        """Prepare for trips to these destinations on `city.network`, which was `before` when the city was observed."""
        now = city.network
        minutes = [network.free_flow_s * (NATS_PER_MINUTE / 60) for network in (before, now)]
        ahead = np.empty((len(destination), len(now.node_ids)), dtype=np.float32)
        known = CityFeatures(before, city.observed)
        zone = city.zones[1][destination]
        for this in np.unique(zone).tolist():
            mine = np.flatnonzero(zone == this)
            nodes, back = np.unique(now.from_node[destination[mine]], return_inverse=True)
            learned = known.learned_cost(this)
            old, new = (
                cost_to_nodes(network, learned + spent, nodes)
                for network, spent in zip((before, now), minutes, strict=True)
            )
            ahead[mine] = (new - old).clip(-MOST, MOST)[back]
        own = (minutes[1] - minutes[0]).clip(-MOST, MOST).astype(np.float32)
        return Pivot(ahead=ahead, own=own, to_node=now.to_node, destination=destination.astype(np.int64))

    @staticmethod
    def needed(
        city: CityFeatures, destination: Int[ndarray, " b"], *, also_speeds: bool
    ) -> "tuple[Pivot | None, Pivot | None]":
        """What a model needs whose city was changed since it was observed, else None; and the same for speeds alone.

        The second is for a recursive logit, which knows of closed segments already but not of speeds; None where it is
        not asked for, or no speed changed.
        """
        before, now = city.before, city.network
        if before is None:
            return None, None
        whole = Pivot.towards(city, before, destination)
        if not also_speeds or np.array_equal(before.speed_kmh, now.speed_kmh):
            return whole, None
        return whole, Pivot.towards(city, replace(now, speed_kmh=before.speed_kmh), destination)

    def log_odds(self, candidates: Candidates) -> Float32[ndarray, " m"]:
        """What to add to the log-probability of each candidate, up to a constant for each position; 0 for the end."""
        trip = np.repeat(candidates.row, np.diff(candidates.start))
        last = self.destination[trip]
        segment = np.minimum(candidates.segment, len(self.to_node) - 1)
        onward = self.own[segment] + self.ahead[trip, self.to_node[segment]]
        added: Float[ndarray, " m"] = np.where(segment == last, 0, onward) + self.own[last]
        return np.where(candidates.segment == len(self.to_node), 0, -added).astype(np.float32)
