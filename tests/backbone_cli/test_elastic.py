"""Training routers: on a frozen model, resumable, and calibrated when it is over."""

import pytest
import torch

from suffuse.backbone import accelerate
from suffuse.backbone.shortcuts import ElasticRouting, Routers
from suffuse.backbone_cli.study import elastic
from suffuse.backbone_cli.study.fashion import Fashion
from suffuse.backbone_cli.study.flow import sample, start


@pytest.mark.filterwarnings("ignore:elastic-routing. nothing was saved:UserWarning")
def test_routers_are_trained_on_a_frozen_model(tiny, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elastic, "STEPS", 8)
    monkeypatch.setattr(elastic, "LIGHT", 2)
    monkeypatch.setattr(elastic, "SAMPLES", 2)
    monkeypatch.setattr(elastic, "CALIBRATED", 3)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (10, 1, 32, 32), dtype=torch.uint8, generator=generator)
    data = Fashion(images, torch.arange(10))
    model = tiny("dit")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first = elastic.train_routers(model, data, tmp_path / "run", updates=3)
    assert isinstance(first.model, Routers)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert any((tmp_path / "run" / "tensorboard").iterdir())
    low, high = elastic.PRICES
    assert [price for price, _ in first.model.prices[2]] == pytest.approx([low, (low * high) ** 0.5, high], rel=1e-4)

    again = elastic.train_routers(model, data, tmp_path / "run", updates=3)
    assert again.resumed_from == 3
    assert isinstance(again.model, Routers)
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor), name

    share = first.model.prices[2][1][1]
    labels = torch.arange(2)
    routing = ElasticRouting(routers=first.model, price=first.model.prices[2][1][0], reuse=2)
    with accelerate(model, routing, steps=8) as session:
        sample(model, labels, start(labels, elastic.SEED), steps=8, guidance=elastic.GUIDANCE)
    assert session.report().fraction == pytest.approx((2 + 6 * share) / 8)
