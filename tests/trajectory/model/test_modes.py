"""Models and modes of travel: whose weights they use, and that cyclists are not taken for drivers."""

import json
import shutil

import numpy as np
import pytest
import torch

from suffuse.trajectory.errors import ModelError
from suffuse.trajectory.model.pretrained import SHIPPED, TripGenerator, load_model
from suffuse.trajectory.model.training import BESIDE_CARS, fingerprint
from suffuse.trajectory.requests import Requests
from suffuse.trajectory.roads.modes import for_mode


def weights(model: TripGenerator) -> torch.Tensor:
    return torch.cat([parameter.flatten() for parameter in model.model.parameters()])


@pytest.fixture(scope="module")
def town(make_grid):
    return make_grid(6)


@pytest.mark.parametrize("mode", ["drive", "bike", "walk"])
def test_base_answers_in_every_mode(town, mode):
    network = for_mode(town, mode)
    model = load_model("base", network)
    asked = Requests(
        origin=np.array([0, 5]),
        destination=np.array([40, 77]),
        depart=np.full(2, np.datetime64("2024-03-04T08:00:00", "s")),
        request_id=np.array(["a", "b"], dtype=object),
    )
    trips = model.sample(asked)
    assert trips.destination.tolist() == [40, 77]
    kmh = np.add.reduceat(network.length_m[trips.segment], trips.start[:-1]) / trips.duration_s * 3.6
    fastest = {"drive": 50, "bike": 20, "walk": 6.5}[mode]
    assert (kmh < fastest).all()
    assert (kmh > fastest / 8).all()


def test_cyclists_and_walkers_have_a_network_of_their_own(town, tmp_path):
    drivers, walkers = (load_model("base", for_mode(town, mode)) for mode in ("drive", "walk"))
    assert not torch.equal(weights(drivers), weights(walkers))
    assert torch.equal(weights(drivers.on(for_mode(town, "bike"))), weights(walkers))
    assert torch.equal(weights(walkers.on(town)), weights(drivers))
    alone = tmp_path / "alone"
    shutil.copytree(SHIPPED / "base", alone, ignore=shutil.ignore_patterns(BESIDE_CARS))
    with pytest.raises(ModelError, match=r"beside-cars is missing: .* says that the network for mode walk is"):
        load_model(alone, for_mode(town, "walk"))
    assert torch.equal(weights(load_model(alone, town)), weights(drivers))
    facts = json.loads((alone / "city.json").read_text(encoding="utf-8"))
    del facts[BESIDE_CARS]  # a model that `train` made has one network for all modes
    (alone / "city.json").write_text(json.dumps(facts), encoding="utf-8")
    assert torch.equal(weights(load_model(alone, for_mode(town, "walk"))), weights(drivers))


def test_a_model_of_one_city_is_not_at_home_in_another_mode(town):
    """Cyclists may have the very segments of drivers."""
    assert len({fingerprint(for_mode(town, mode)) for mode in ("drive", "bike", "walk")}) == 3
    with pytest.raises(ModelError, match="learned from trips of mode drive"):
        load_model("la-serena", for_mode(town, "bike"))
