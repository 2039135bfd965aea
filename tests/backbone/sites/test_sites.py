"""Sites: found, named and understood; and an unknown model's line to write is the right one."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import suffuse.backbone.sites
from suffuse.backbone.sites import Backbone, FlopCounter, Layout, SitesError, UnknownDenoiserError, layout_of, probe
from suffuse.backbone.sites.layout import suggested_blocks


class Unknown(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
        self.trunk = nn.ModuleDict({"main": nn.ModuleList(nn.Linear(4, 4) for _ in range(5))})
        self.odd = nn.ModuleList([nn.Linear(4, 4), nn.ReLU()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in (*self.encoder, *self.trunk["main"]):
            x = layer(x)
        return x


def test_the_line_in_the_message_makes_the_model_known(monkeypatch) -> None:
    monkeypatch.setattr(suffuse.backbone.sites.layout, "_registered", {})
    with pytest.raises(UnknownDenoiserError) as error:
        Backbone(Unknown())
    line = str(error.value).splitlines()[-1].strip()
    assert suggested_blocks(Unknown()) == ("trunk.main", "encoder")
    exec(line, {"suffuse": suffuse, "Unknown": Unknown})
    backbone = Backbone(Unknown())
    assert [site.name for site in backbone.sites][:2] == ["trunk.main.0", "trunk.main.1"]
    assert len(backbone.of_kind("block")) == 7

    class Heir(Unknown):
        pass

    assert layout_of(Heir()) is layout_of(Unknown())


def test_order_is_that_of_calls_and_not_of_the_layout() -> None:
    profile = probe(Backbone(Unknown(), Layout(blocks=("trunk", "encoder"))), torch.randn(3, 4))
    assert [seen.site.name for seen in profile.seen][:3] == ["encoder.0", "encoder.1", "trunk.main.0"]
    assert [seen.index for seen in profile.seen] == list(range(7))
    assert [seen.chained for seen in profile.seen] == [False] + [True] * 6
    assert {seen.flops for seen in profile.seen} == {2 * 4 * 4}
    assert profile.flops == 7 * 2 * 4 * 4


def test_layouts_that_do_not_fit() -> None:
    with pytest.raises(SitesError, match="Unknown has no 'nowhere'"):
        Backbone(Unknown(), Layout(blocks=("nowhere",)))
    with pytest.raises(ValueError, match="blocks or stages, got neither"):
        Layout()


class Joint(nn.Module):
    """Two streams of one shape, returned in another order than they are taken."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, a: torch.Tensor, b: torch.Tensor, add_in_place: bool = False):
        if add_in_place:
            a += 1
        return self.linear(b), self.linear(a)


class Joints(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Joint() for _ in range(3))

    def forward(self, a: torch.Tensor, b: torch.Tensor, add_in_place: bool = False) -> torch.Tensor:
        for block in self.blocks:
            b, a = block(a, b, add_in_place)
        return a + b


def test_streams_of_one_shape_are_told_apart_by_following_them() -> None:
    model = Joints()
    a, b = torch.randn(2, 4), torch.randn(2, 4)
    profile = probe(Backbone(model, Layout(blocks=("blocks",))), a, b)
    for seen in profile.seen[:2]:
        assert {(stream.argument, stream.position) for stream in seen.streams.streams} == {("b", 0), ("a", 1)}
    assert not any(seen.writes for seen in profile.seen)
    profile = probe(Backbone(model, Layout(blocks=("blocks",))), a, b, add_in_place=True)
    assert all(seen.writes for seen in profile.seen)


def test_a_unet_has_stages_layers_and_parts(make_denoiser) -> None:
    backbone = Backbone(make_denoiser("UNet2DConditionModel").model)
    assert [site.name for site in backbone.of_kind("stage")] == [
        *(f"down_blocks.{i}" for i in range(3)),
        "mid_block",
        *(f"up_blocks.{i}" for i in range(3)),
    ]
    names = {site.name for site in backbone.of_kind("layer")}
    assert {"down_blocks.0.resnets.0", "mid_block.attentions.0", "up_blocks.2.resnets.1"} <= names
    parts = {site.name: site.owner for site in backbone.of_kind("attention", "feed_forward")}
    assert parts["down_blocks.1.attentions.0.transformer_blocks.0.attn2"] == "down_blocks.1"
    assert parts["down_blocks.1.attentions.0.transformer_blocks.0.ff"] == "down_blocks.1"
    modules = [id(site.module) for site in backbone.sites]
    assert len(modules) == len(set(modules))


def test_skip_connections_are_followed(make_denoiser) -> None:
    """By hand for a UNet of one residual layer in each of three stages; its first skip comes from no site."""
    unet = make_denoiser("UNet2DModel")
    skips = probe(Backbone(unet.model), **unet.inputs).skips
    assert [(skip.source.name, skip.target.name) for skip in skips] == [
        ("down_blocks.1", "up_blocks.0"),
        ("down_blocks.2.attentions.0", "up_blocks.0"),
        ("down_blocks.0", "up_blocks.1"),
        ("down_blocks.1.resnets.0", "up_blocks.1"),
        ("down_blocks.0.resnets.0", "up_blocks.2"),
    ]
    assert {skip.argument for skip in skips} == {"res_hidden_states_tuple"}
    assert len(skips) + 1 == sum(len(stage.resnets) for stage in unet.model.up_blocks)
    for name, expected in (("HunyuanDiT2DModel", [("blocks.0", "blocks.3", "skip")]), ("DiTTransformer2DModel", [])):
        denoiser = make_denoiser(name)
        skips = probe(Backbone(denoiser.model), **denoiser.inputs).skips
        assert [(skip.source.name, skip.target.name, skip.argument) for skip in skips] == expected


def test_compiled_models_are_looked_through(make_denoiser) -> None:
    model = make_denoiser("DiTTransformer2DModel").model
    assert Backbone(torch.compile(model, backend="eager")).model is model


def test_probing_changes_nothing(make_denoiser) -> None:
    denoiser = make_denoiser("FluxTransformer2DModel")
    before = denoiser.generate(1)
    probe(Backbone(denoiser.model), **denoiser.inputs)
    assert torch.equal(denoiser.generate(1), before)
    assert not any("forward" in module.__dict__ for module in denoiser.model.modules())


def test_operations_by_formula_and_beside_torchs_counter() -> None:
    query, key = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 7, 4)
    convolution = nn.Conv2d(3, 6, 3, padding=1)
    for call, operations in (
        (lambda: nn.Linear(4, 6)(torch.randn(5, 4)), 2 * 5 * 4 * 6),
        (lambda: torch.randn(2, 3, 4) @ torch.randn(2, 4, 5), 2 * 2 * 3 * 4 * 5),
        (lambda: nn.functional.scaled_dot_product_attention(query, key, key), 2 * 2 * 2 * 3 * 5 * 7 * 4),
        (lambda: convolution(torch.randn(1, 3, 8, 8)), 2 * 8 * 8 * 6 * 3 * 9),
        (lambda: torch.randn(9) + 1, 0),
    ):
        with torch.no_grad(), FlopCounter() as counter:
            call()
        assert counter.total == operations
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.SiLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
    with FlopCounter() as ours, FlopCounterMode(display=False) as theirs:
        model(torch.randn(2, 3, 8, 8))
    assert ours.total == theirs.get_total_flops()
