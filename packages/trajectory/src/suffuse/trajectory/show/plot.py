"""The one function that draws a map; the suffix of the file says which kind."""

from collections.abc import Callable
from pathlib import Path

from suffuse.console import check_writable, replacing
from suffuse.trajectory.errors import TripError
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.show.change import change_scene
from suffuse.trajectory.show.difference import write_difference
from suffuse.trajectory.show.html import write_html
from suffuse.trajectory.show.png import write_png
from suffuse.trajectory.show.scene import Scene, make_scene
from suffuse.trajectory.trips.table import Trips
from suffuse.trajectory.what_if.changes import Changes

WRITERS: dict[str, Callable[[Scene, Path], None]] = {".html": write_html, ".png": write_png}
"""How a map is drawn, by suffix."""


def check_map_suffix(out: Path) -> None:
    """Raise TripError, before any work is done, for a path that no map can be written to."""
    if out.suffix.lower() not in WRITERS:
        raise TripError(f"{out}: suffix {out.suffix!r} is no kind of map, but must be one of {', '.join(WRITERS)}")
    check_writable(out, error=TripError)


def plot_trips(
    trips: Trips,
    network: RoadNetwork,
    out: Path,
    *,
    title: str | None = None,
    note: str | None = None,
    singles: int = 8,
) -> None:
    """Draw roads, the flow of all trips and some single ones as a page (`.html`) or a picture 1600 px wide (`.png`).

    The page is one file that works offline. The same trips give the same bytes. Nothing is left behind on failure.

    Args:
        trips: at least one, each with at least one segment.
        network: the roads under them; closed segments are crossed out in red.
        out: where to; replaced if there.
        title: above the map; the city's name unless given.
        note: where the trips come from, said under the title. Unless given, maps of the package's own cities say that
            the road network is real and the trips simulated; others say nothing.
        singles: how many single trips to draw in a picture, 0 to 24, short to long; a page has them all to choose from.

    Raises:
        TripError: if the suffix, the trips or `singles` are not as above, or `out` cannot be written.

    """
    out = Path(out)
    check_map_suffix(out)
    scene = make_scene(trips, network, title=title, note=note, singles=singles)
    with replacing(out, error=TripError) as temporary:
        WRITERS[out.suffix.lower()](scene, temporary)


def plot_change(
    before: Trips,
    after: Trips,
    network: RoadNetwork,
    out: Path,
    *,
    changes: Changes | None = None,
    title: str | None = None,
    note: str | None = None,
) -> None:
    """Draw where `after` has more and where fewer trips than `before`, as a page (`.html`) or a picture (`.png`).

    Trips with one id are of one request; those that only one side has are left out. If the sides share no id, flows of
    `before` are scaled to as many trips as there are after.

    Args:
        before: trips on the network as it is.
        after: trips after a change.
        network: the roads before the change.
        out: where to; replaced if there.
        changes: what was changed, to be marked on the map.
        title: above the map; the city's name unless given.
        note: as for `plot_trips`.

    Raises:
        TripError: if the suffix or the trips are not fit for it, or `out` cannot be written.

    """
    out = Path(out)
    check_map_suffix(out)
    scene = change_scene(before, after, network, changes or Changes(), title=title, note=note)
    writer = write_difference if out.suffix.lower() == ".png" else write_html
    with replacing(out, error=TripError) as temporary:
        writer(scene, temporary)
