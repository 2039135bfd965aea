"""Streets closed or slower than they were: how a network is changed, and how drivers answer to it."""

from suffuse.trajectory.what_if.changes import Changes, read_speeds
from suffuse.trajectory.what_if.pivot import Pivot

__all__ = ["Changes", "Pivot", "read_speeds"]
