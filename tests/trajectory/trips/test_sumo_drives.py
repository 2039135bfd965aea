"""The routes written for SUMO are driven by a real SUMO, on the network the roads were read from.

eclipse-sumo is no dependency of anything: it is 150 MB. `pip install eclipse-sumo` makes this test run.
"""

import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from suffuse.trajectory.roads.cities import read_roads
from suffuse.trajectory.trips.write import edge_names, vehicle_names, write_trips

pytest.importorskip("sumolib", reason="the extra `sumo` is not installed")
sumo = pytest.importorskip("sumo", reason="eclipse-sumo, a simulator of 150 MB, is not installed")


def run(name: str, *words: object) -> str:
    """Run one of SUMO's programs; its output where it succeeds."""
    program = Path(sumo.SUMO_HOME) / "bin" / name
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_net(town, folder, *, oneway=False):
    """The town as a SUMO network; `oneway` leaves out one direction of every third street."""
    nodes = "".join(
        f'<node id="{node}" x="{lon:.7f}" y="{lat:.7f}"/>' for node, (lon, lat) in enumerate(town.node_lonlat.tolist())
    )
    edges = "".join(
        f'<edge id="street{name}" from="{u}" to="{v}" numLanes="1" speed="13.9"/>'
        for name, u, v in zip(town.segment_ids, town.from_node, town.to_node, strict=True)
        if u < v or not (oneway and name % 3 == 0)
    )
    (folder / "town.nod.xml").write_text(f"<nodes>{nodes}</nodes>")
    (folder / "town.edg.xml").write_text(f"<edges>{edges}</edges>")
    net = folder / "town.net.xml"
    run("netconvert", "-n", folder / "town.nod.xml", "-e", folder / "town.edg.xml", "--proj.utm", "-o", net)
    return net


def test_every_vehicle_arrives_by_its_own_route(town, walks, tmp_path):
    net, routes = make_net(town, tmp_path), tmp_path / "trips.rou.xml"
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


def test_cyclists_and_walkers_arrive(town, walks, tmp_path):
    """Cyclists are vehicles of their own class; walkers use one-way edges in both directions."""
    net, routes, driven = make_net(town, tmp_path, oneway=True), tmp_path / "trips.rou.xml", tmp_path / "driven.xml"
    for mode in ("bike", "walk"):
        roads = read_roads(net, mode)
        assert (len(roads), roads.mode) == ({"bike": 300, "walk": 360}[mode], mode)
        assert edge_names(roads) is roads.source_ids
        trips = walks(roads, 3, 10)
        trips.depart[:] = np.datetime64("2024-03-04", "s") + np.arange(10) * np.timedelta64(5, "s")
        write_trips(trips, roads, routes)
        run(
            *("sumo", "-n", net, "-r", routes, "--no-step-log", "--time-to-teleport", "-1", "--end", 3600),
            *("--tripinfo-output", driven, "--no-warnings"),
        )
        found = ElementTree.parse(driven).getroot()
        arrived = [one.get("id") for one in found if mode == "walk" or one.get("vType") == "bicycle"]
        assert sorted(arrived) == sorted(vehicle_names(trips.trip_id))
        if mode == "walk":
            length = np.add.reduceat(roads.length_m[trips.segment], trips.start[:-1])
            far = {one.get("id"): float(one.find("walk").get("routeLength")) for one in found}
            walked = np.array([far[name] for name in vehicle_names(trips.trip_id)])
            # Junctions are cut short: SUMO's edges end where they begin.
            assert (0.85 * length <= walked).all()
            assert (walked <= length).all()
