"""Changes as they are written, and what they do to a network."""

from pathlib import Path

import numpy as np
import pytest

from suffuse.trajectory.errors import RequestError
from suffuse.trajectory.roads.network import RoadNetwork
from suffuse.trajectory.what_if import Changes, read_speeds


def test_what_is_written_is_what_changes(fork: RoadNetwork, tmp_path: Path) -> None:
    (tmp_path / "works.csv").write_text("Segment, speed_kmh,why\n105,12.5,works\n103,30,\n")
    changes = Changes.parse(fork, close="102, 104", speed=["100=20,101=7.5", str(tmp_path / "works.csv"), "100=20"])
    assert changes.closed == (2, 4)
    assert dict(changes.speed_kmh) == {0: 20, 1: 7.5, 5: 12.5, 3: 30}
    assert changes.segments == [0, 1, 2, 3, 4, 5]
    there = changes.on(fork)
    assert there.closed == {2, 4}
    assert there.speed_kmh.tolist() == [20, 7.5, 36, 30, 36, 12.5, 36]
    np.testing.assert_allclose(there.free_flow_s[0], 600 / 20 * 3.6)
    assert fork.speed_kmh.tolist() == [36] * 7, "the network itself stays as it was"


def test_nothing_changed_is_the_same_network(fork: RoadNetwork) -> None:
    assert not Changes()
    assert Changes.parse(fork).on(fork) is fork


@pytest.mark.parametrize(
    ("close", "speed", "said"),
    [
        ("7", [], "--close: segment '7' is not in road network 'fork'"),
        (" , ,", [], "--close: ' , ,' holds no segment"),
        ("", [","], "--speed: ',' holds no segment"),
        ("", ["99=20"], "--speed: segment '99' is not in road network 'fork'"),
        ("", ["100"], "--speed: '100' is neither ID=KMH nor a CSV file"),
        ("", ["100=fast"], "--speed: speed 'fast' must be a number from 0.1 to 300 km/h"),
        ("", ["100=0"], "--speed: speed '0' must be a number from 0.1 to 300 km/h"),
        ("", ["100=nan"], "--speed: speed 'nan' must be a number from 0.1 to 300 km/h"),
        ("", ["100=20", "100=30"], "--speed: segment 100 has two speeds, 20 and 30"),
        ("", ["absent.csv"], "absent.csv: cannot be read as a CSV file: No such file"),
    ],
)
def test_what_cannot_be_is_said(fork: RoadNetwork, close: str, speed: list[str], said: str) -> None:
    with pytest.raises(RequestError) as error:
        Changes.parse(fork, close=close, speed=speed)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("segment,speed\n100,20\n", "needs the columns segment,speed_kmh; it has 'segment,speed'"),
        ("segment,speed_kmh\n", "holds no speeds, only a header"),
        ("segment,speed_kmh\n100,20\n7,20\n", "line 3: segment '7' is not in road network 'fork'"),
        ("segment,speed_kmh\n100\n", "line 2: speed '' must be a number"),
        ("", "needs the columns segment,speed_kmh"),
    ],
)
def test_files_of_speeds(fork: RoadNetwork, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "speeds.csv"
    path.write_text(text)
    with pytest.raises(RequestError) as error:
        read_speeds(path, fork)
    assert said in str(error.value)
