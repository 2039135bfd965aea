"""A road network as the suite sees it: directed segments, who may follow whom, and where each lies.

Dimensions: s segments, n nodes, t transitions (legal pairs of consecutive segments).
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyproj
import shapely
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from suffuse.trajectory.errors import RoadNetworkError
from suffuse.trajectory.roads.transitions import legal_transitions, reverse_partners

WGS84 = "EPSG:4326"

HIGHWAY_CLASSES = (
    "motorway",
    "trunk",
    "primary",
    "secondary",
    "tertiary",
    "unclassified",
    "residential",
    "living_street",
    "service",
    "track",
    "cycleway",
    "footway",
)
"""Road classes the encoder knows, from OpenStreetMap's `highway` key; every other value counts as `unclassified`."""

MODES = ("drive", "bike", "walk")
"""Ways of travelling; a network is for one of them: its segments are those that it may use."""

DEFAULT_SPEED_KMH = dict(zip(HIGHWAY_CLASSES, (100, 80, 60, 50, 45, 40, 30, 15, 20, 15, 15, 5), strict=True))
"""Free-flow speed where a network does not say, by road class."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RoadNetwork:
    """Directed road segments with geometry, attributes and legal transitions.

    A segment is one direction of travel between two nodes; a two-way street is two segments. Everywhere in the package
    a segment is meant by its *index* (row, 0 to s-1); `segment_ids` holds the names that people and files use.
    """

    name: str
    segment_ids: Int[ndarray, " s"]
    from_node: Int[ndarray, " s"]
    """Row of the start node in `node_lonlat`."""
    to_node: Int[ndarray, " s"]
    node_ids: Int[ndarray, " n"]
    node_lonlat: Float[ndarray, "n 2"]
    """WGS 84 longitude and latitude, degrees."""
    geometry: ndarray
    """s shapely LineStrings in WGS 84 lon/lat, drawn in the direction of travel."""
    length_m: Float[ndarray, " s"]
    highway: ndarray
    """s strings of `HIGHWAY_CLASSES`."""
    speed_kmh: Float[ndarray, " s"]
    """Free-flow speed."""
    lanes: Float[ndarray, " s"]
    """Lanes in this direction; 1 where unknown."""
    crs: str = WGS84
    """The CRS the source was in, as an authority string or WKT: GIS files are written in it, geometry here is not."""
    source_ids: ndarray | None = None
    """s strings: the source's names of each segment (SUMO edges, OSM ways), joined by a space; None if unknown."""
    attribution: str = ""
    closed: frozenset[int] = field(default_factory=frozenset)
    """Indices of segments that no trip may use: see `without`."""
    mode: str = "drive"
    """Who travels here, one of `MODES`: speeds and segments are theirs."""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise RoadNetworkError(f"road network {self.name!r}: mode is {self.mode!r}, but must be {', '.join(MODES)}")
        if len(self.segment_ids) == 0:
            raise RoadNetworkError(f"road network {self.name!r} has no segments")
        if len(np.unique(self.segment_ids)) != len(self.segment_ids):
            raise RoadNetworkError(f"road network {self.name!r} has segment ids that occur twice")
        for what, values in (("length_m", self.length_m), ("speed_kmh", self.speed_kmh)):
            bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
            if len(bad):
                raise RoadNetworkError(
                    f"road network {self.name!r}: {what} of segment {self.segment_ids[bad[0]]} is {values[bad[0]]}, "
                    "but must be finite and above 0"
                )
        if not np.isfinite(self.node_lonlat).all():
            raise RoadNetworkError(f"road network {self.name!r} has nodes with coordinates that are not finite")

    def __len__(self) -> int:
        return len(self.segment_ids)

    def __repr__(self) -> str:
        mode = "" if self.mode == "drive" else f", {self.mode}"
        return f"RoadNetwork({self.name!r}, {len(self):,} segments, {self.length_m.sum() / 1e3:,.0f} km{mode})"

    @cached_property
    def index_of(self) -> dict[int, int]:
        """Segment index by segment id."""
        return {int(identifier): index for index, identifier in enumerate(self.segment_ids)}

    @cached_property
    def reverse(self) -> Int[ndarray, " s"]:
        """Index of the same street in the other direction, -1 for one-way segments."""
        return reverse_partners(self.from_node, self.to_node, self.length_m)

    @cached_property
    def oneway(self) -> Bool[ndarray, " s"]:
        """True where the street cannot be driven in the other direction."""
        return self.reverse < 0

    @cached_property
    def successors(self) -> sparse.csr_array:
        """Legal transitions as an s x s pattern: row = segment, columns = segments that may follow it.

        Head meets tail; no U-turn unless it is the only way on (or the only way to keep all segments connected);
        nothing into, out of a closed segment.
        """
        pattern = legal_transitions(self.from_node, self.to_node, self.reverse)
        if not self.closed:
            return pattern
        keep = np.ones(len(self), dtype=bool)
        keep[list(self.closed)] = False
        coo = pattern.tocoo()
        use = keep[coo.row] & keep[coo.col]
        rows, columns = coo.row[use], coo.col[use]
        return sparse.csr_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=pattern.shape)

    @cached_property
    def predecessors(self) -> sparse.csr_array:
        """`successors` transposed."""
        return self.successors.T.tocsr()

    @cached_property
    def strong_component(self) -> Int[ndarray, " s"]:
        """Number of the part of the network each segment is in; within a part every segment reaches every other."""
        _, number = connected_components(self.successors, connection="strong")
        return number

    @cached_property
    def metric_crs(self) -> pyproj.CRS:
        """An azimuthal equidistant CRS in metres around the network's middle: city distances are true to 0.01 %."""
        lon, lat = (self.node_lonlat.min(axis=0) + self.node_lonlat.max(axis=0)) / 2
        return pyproj.CRS.from_proj4(f"+proj=aeqd +lon_0={lon:.6f} +lat_0={lat:.6f} +datum=WGS84 +units=m")

    def to_metres(self, lonlat: Float[ndarray, "k 2"]) -> Float[ndarray, "k 2"]:
        """Project WGS 84 lon/lat to metres east and north of the network's middle."""
        transformer = pyproj.Transformer.from_crs(WGS84, self.metric_crs, always_xy=True)
        x, y = transformer.transform(lonlat[:, 0], lonlat[:, 1])
        return np.stack([x, y], axis=-1)

    @cached_property
    def node_metres(self) -> Float[ndarray, "n 2"]:
        """Nodes in `metric_crs`."""
        return self.to_metres(self.node_lonlat)

    @cached_property
    def centroid_lonlat(self) -> Float[ndarray, "s 2"]:
        """Centroid of each LineString in lon/lat: the point HOSER's metrics take for a segment."""
        return shapely.get_coordinates(shapely.centroid(self.geometry))

    @cached_property
    def free_flow_s(self) -> Float[ndarray, " s"]:
        """Seconds to drive each segment at its free-flow speed."""
        return (self.length_m / self.speed_kmh * 3.6).astype(np.float32)

    @cached_property
    def bearings(self) -> tuple[Float[ndarray, " s"], Float[ndarray, " s"]]:
        """Direction of travel at the start and at the end of each segment, radians anticlockwise from east."""
        coordinates, owner = shapely.get_coordinates(self.geometry, return_index=True)
        xy = self.to_metres(coordinates)
        first = np.searchsorted(owner, np.arange(len(self)))
        last = np.searchsorted(owner, np.arange(len(self)), side="right") - 1
        start, end = xy[first + 1] - xy[first], xy[last] - xy[last - 1]
        return np.arctan2(start[:, 1], start[:, 0]), np.arctan2(end[:, 1], end[:, 0])

    def without(self, segments: Int[ndarray, " k"]) -> "RoadNetwork":
        """The same network, same indices, with the given segment indices closed to all trips."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return RoadNetwork(**{**values, "closed": self.closed | {int(segment) for segment in segments}})
