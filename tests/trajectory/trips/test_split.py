"""Splits by OD cell: disjoint, complete, stable, near their shares."""

import numpy as np
import pytest

from suffuse.trajectory.demand.zones import grid_cells
from suffuse.trajectory.errors import TrajectoryError
from suffuse.trajectory.trips.split import OdCellSplit, split_by_od_cell
from suffuse.trajectory.trips.table import Trips


def random_pairs(network, count, seed=0):
    ends = np.random.default_rng(seed).integers(len(network), size=(count, 2))
    return Trips.from_lists(ends.tolist())


def test_every_cell_pair_is_wholly_in_one_part(town):
    trips = random_pairs(town, 5000)
    parts = split_by_od_cell(town, trips)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(5000))
    cells = grid_cells(town, 500.0)
    owner = {}
    for name, rows in parts.items():
        for pair in zip(cells[trips.origin[rows]].tolist(), cells[trips.destination[rows]].tolist(), strict=True):
            assert owner.setdefault(pair, name) == name


def test_shares_are_near_and_the_split_does_not_depend_on_the_other_trips(town):
    trips = random_pairs(town, 5000)
    parts = split_by_od_cell(town, trips, cell_m=200.0)
    sizes = {name: len(rows) / 5000 for name, rows in parts.items()}
    assert sizes == pytest.approx({"train": 0.8, "val": 0.1, "test": 0.1}, abs=0.04)
    half = np.arange(0, 5000, 2)
    of_half = split_by_od_cell(town, trips.take(half), cell_m=200.0)
    assert set(half[of_half["test"]].tolist()) == set(parts["test"].tolist()) & set(half.tolist())


def test_another_seed_is_another_split_and_direction_matters(town):
    trips = random_pairs(town, 2000)
    first, second = (OdCellSplit(town, seed=seed).part_of(trips.origin, trips.destination) for seed in (0, 1))
    assert (first != second).any()
    assert (first != OdCellSplit(town).part_of(trips.destination, trips.origin)).any()


def test_known_parts_stay_where_they_are(town):
    ends = np.arange(0, 40)
    parts = OdCellSplit(town, cell_m=200.0).part_of(ends, ends[::-1].copy())
    assert "".join(map(str, parts)) == "0000000000111100000000001100000000222200"


@pytest.mark.parametrize("fractions", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}])
def test_wrong_shares(town, fractions):
    with pytest.raises(TrajectoryError, match="add up to 1"):
        OdCellSplit(town, fractions=fractions)
