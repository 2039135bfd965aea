"""Trips by the hundred thousand: shards that are written whole, once, by whichever process is there to write them."""

from suffuse.trajectory.scale.engines import ENGINES, write_shards
from suffuse.trajectory.scale.plan import Plan
from suffuse.trajectory.scale.sources import Listed, Simulated, Source

__all__ = ["ENGINES", "Listed", "Plan", "Simulated", "Source", "write_shards"]
