"""Maps of trips a person wants to look at: a picture to print and a page to explore."""

from suffuse.trajectory.show.flows import flow_per_segment
from suffuse.trajectory.show.plot import plot_change, plot_trips

__all__ = ["flow_per_segment", "plot_change", "plot_trips"]
