"""The corpus of a city: prefixes, disjoint parts, and a cache that survives writers, damage and a full disk."""

import multiprocessing
from dataclasses import replace

import numpy as np
import pytest

from suffuse.trajectory.demand import DemandConfig, corpus
from suffuse.trajectory.demand.corpus import cache_directory, simulated_trips
from suffuse.trajectory.demand.zones import grid_cells
from suffuse.trajectory.errors import TrajectoryError


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SUFFUSE_CACHE_DIR", str(tmp_path))
    return tmp_path / "trips"


def same(a, b):
    for field in ("start", "segment", "enter_s", "duration_s", "depart", "trip_id"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))


def test_parts_share_no_pair_of_cells(grid):
    cells = grid_cells(grid, 500.0)
    pairs = [
        set(zip(cells[trips.origin].tolist(), cells[trips.destination].tolist(), strict=True))
        for trips in (simulated_trips(grid, part, 150) for part in ("train", "val", "test"))
    ]
    assert not pairs[0] & pairs[1]
    assert not pairs[0] & pairs[2]
    assert not pairs[1] & pairs[2]


def test_the_cache_gives_back_what_was_drawn_and_fewer_is_a_prefix(grid, own_cache, monkeypatch):
    drawn = simulated_trips(grid, "train", 60)
    assert len(list(own_cache.iterdir())) == 1
    fewer = simulated_trips(grid, "train", 20)
    same(fewer, drawn.take(np.arange(20)))
    monkeypatch.setattr(corpus, "simulate", None)
    same(simulated_trips(grid, "train", 60), drawn)


def test_chunks_do_not_show(grid, own_cache, monkeypatch):
    drawn, seen = simulated_trips(grid, "val", 25), []
    (kept,) = own_cache.iterdir()
    kept.unlink()
    monkeypatch.setattr(corpus, "CHUNK", 10)
    same(simulated_trips(grid, "val", 25, on_progress=seen.append), drawn)
    assert seen == [10, 20, 25]


def test_a_damaged_file_is_drawn_again(grid, own_cache):
    drawn = simulated_trips(grid, "train", 20)
    (kept,) = own_cache.iterdir()
    whole = kept.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"PK" + whole[2:100]):
        kept.write_bytes(damaged)
        same(simulated_trips(grid, "train", 20), drawn)
        assert kept.read_bytes()[:4] == whole[:4]


def test_another_world_or_network_is_another_file(grid, own_cache):
    simulated_trips(grid, "train", 5)
    simulated_trips(grid, "train", 5, config=replace(DemandConfig(), trip_sigma=0.1))
    simulated_trips(replace(grid, speed_kmh=grid.speed_kmh * 1.1), "train", 5)
    assert len(list(own_cache.iterdir())) == 3


def test_without_a_cache_the_trips_are_still_drawn(grid, tmp_path, monkeypatch):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    monkeypatch.setenv("SUFFUSE_CACHE_DIR", str(in_the_way))
    assert len(simulated_trips(grid, "train", 5)) == 5


def test_where_the_cache_is(tmp_path, monkeypatch):
    assert cache_directory() == tmp_path
    monkeypatch.delenv("SUFFUSE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert str(cache_directory()) == "/somewhere/suffuse"


def save_often(trips, file):
    for _ in range(20):
        corpus._save(trips, file)


def test_a_reader_never_sees_half_a_file_of_two_writers(grid, own_cache):
    trips = simulated_trips(grid, "train", 30)
    (file,) = own_cache.iterdir()
    forked = multiprocessing.get_context("fork")
    writers = [forked.Process(target=save_often, args=(trips, file)) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        same(corpus._load(file), trips)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert list(own_cache.iterdir()) == [file]


def test_unknown_part(grid):
    with pytest.raises(TrajectoryError, match="part is 'all', but must be one of train, val, test"):
        simulated_trips(grid, "all", 5)
