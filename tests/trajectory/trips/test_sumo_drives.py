"""The routes written for SUMO are driven by a real SUMO, on the network the roads were read from.

eclipse-sumo is no dependency of anything: it is 150 MB. `pip install eclipse-sumo` makes this test run.
"""

import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from suffuse.trajectory.roads.cities import read_roads
from suffuse.trajectory.trips.write import vehicle_names, write_trips

pytest.importorskip("sumolib", reason="the extra `sumo` is not installed")
sumo = pytest.importorskip("sumo", reason="eclipse-sumo, a simulator of 150 MB, is not installed")


def run(name: str, *words: object) -> str:
    """Run one of SUMO's programs; its output where it succeeds."""
    program = Path(sumo.SUMO_HOME) / "bin" / name
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_vehicle_arrives_by_its_own_route(town, walks, tmp_path):
    nodes = "".join(
        f'<node id="{node}" x="{lon:.7f}" y="{lat:.7f}"/>' for node, (lon, lat) in enumerate(town.node_lonlat.tolist())
    )
    edges = "".join(
        f'<edge id="street{name}" from="{u}" to="{v}" numLanes="1" speed="13.9"/>'
        for name, u, v in zip(town.segment_ids, town.from_node, town.to_node, strict=True)
    )
    (tmp_path / "town.nod.xml").write_text(f"<nodes>{nodes}</nodes>")
    (tmp_path / "town.edg.xml").write_text(f"<edges>{edges}</edges>")
    net, routes = tmp_path / "town.net.xml", tmp_path / "trips.rou.xml"
    run("netconvert", "-n", tmp_path / "town.nod.xml", "-e", tmp_path / "town.edg.xml", "--proj.utm", "-o", net)

    roads = read_roads(net)
    assert sorted(roads.source_ids.tolist()) == sorted(f"street{name}" for name in town.segment_ids)
    trips = walks(roads, 3, 20)
    trips.depart[:] = np.datetime64("2024-03-04", "s") + np.arange(20) * np.timedelta64(5, "s")
    write_trips(trips, roads, routes)
    run(
        *("sumo", "-n", net, "-r", routes, "--no-step-log", "--time-to-teleport", "-1", "--end", 3600),
        *("--vehroute-output", tmp_path / "driven.xml", "--vehroute-output.exit-times", "--no-warnings"),
    )
    driven = ElementTree.parse(tmp_path / "driven.xml").getroot().findall("vehicle")
    assert len(driven) == len(trips)
    row_of = {name: row for row, name in enumerate(vehicle_names(trips.trip_id))}
    for vehicle in driven:
        row = row_of[vehicle.get("id")]
        assert vehicle.find("route").get("edges").split() == roads.source_ids[trips.segments_of(row)].tolist()
        assert float(vehicle.get("arrival")) > float(vehicle.get("depart")) >= 5.0 * row
