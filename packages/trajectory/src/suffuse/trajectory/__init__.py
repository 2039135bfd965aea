"""Synthetic trips over a road network by topology-aware block diffusion (TrajDLM).

```python
from suffuse import trajectory

city = trajectory.load_city("la-serena")
model = trajectory.load_model("la-serena", city)
trips = trajectory.generate(model, city, n=1000, seed=0)
frame = trajectory.to_geodataframe(trips, city)
trajectory.plot(trips, city, "map.html")
```
"""

import suffuse.trajectory.compiled  # noqa: F401 - first, so that compiled functions find a place to be kept
from suffuse.trajectory.api import evaluate, generate, plot
from suffuse.trajectory.errors import ModelError, RequestError, RoadNetworkError, TrajectoryError, TripError
from suffuse.trajectory.matching import MatchConfig, MatchReport, Points, match, read_points
from suffuse.trajectory.model.pretrained import TripGenerator, load_model
from suffuse.trajectory.privacy import audit
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.roads.modes import for_mode
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.show import plot_change
from suffuse.trajectory.trips.frame import to_geodataframe
from suffuse.trajectory.trips.moving import to_movingpandas
from suffuse.trajectory.trips.read import read_trips
from suffuse.trajectory.trips.table import Trips
from suffuse.trajectory.trips.write import write_trips
from suffuse.trajectory.what_if import Changes

__all__ = [
    "Changes",
    "MatchConfig",
    "MatchReport",
    "ModelError",
    "Points",
    "RequestError",
    "Requests",
    "RoadNetwork",
    "RoadNetworkError",
    "TrajectoryError",
    "TripError",
    "TripGenerator",
    "Trips",
    "audit",
    "evaluate",
    "for_mode",
    "generate",
    "load_city",
    "load_model",
    "match",
    "plot",
    "plot_change",
    "read_points",
    "read_trips",
    "to_geodataframe",
    "to_movingpandas",
    "write_trips",
]
