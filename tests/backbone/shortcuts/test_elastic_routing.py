"""Elastic routing: what routers decide is done, sample by sample, counted, and the backbone is left alone."""

import math
from contextvars import Context

import pytest
import torch
from torch import Tensor, nn

from suffuse.backbone import accelerate
from suffuse.backbone.engine import ShortcutError
from suffuse.backbone.shortcuts import (
    WIDTHS,
    DeltaCache,
    ElasticRouting,
    RelaxedRouting,
    Routers,
    elastic_parts,
    narrowed,
    routing_loss,
    set_prices,
    shortcut,
    sort_neurons,
)
from suffuse.backbone.sites import Backbone, FlopCounter, probe

STEPS = 8
SOME = ("DiTTransformer2DModel", "PixArtTransformer2DModel", "SD3Transformer2DModel", "FluxTransformer2DModel")


def decided(model: nn.Module, run: list[float], width: int = 3) -> Routers:
    """Routers that say the same of every sample: for each block whether it runs, and a width."""
    routers = Routers(model, 4)
    for name, open_ in zip(routers.names, run, strict=True):
        router = routers.router(name)
        assert router is not None
        nn.init.zeros_(router.heads.weight)
        bias = [open_, *(float(option == width) for option in range(len(WIDTHS)))]
        with torch.no_grad():
            router.heads.bias.copy_(torch.tensor(bias))
    return routers.eval().requires_grad_(False)


def lively(denoiser) -> Routers:
    """Routers with random weights, which let each block run for about every other row."""
    torch.manual_seed(3)
    routers = Routers(denoiser.model, 8)
    said: dict[str, list[Tensor]] = {}
    for name in routers.names:
        router = routers.router(name)
        assert router is not None
        nn.init.normal_(router.inner.weight)
        nn.init.normal_(router.heads.weight, std=3.0)
        nn.init.zeros_(router.heads.bias)
        heard = said[name] = []
        router.register_forward_hook(lambda _, args, decision, heard=heard: heard.append(decision.run))
    routers.eval().requires_grad_(False)
    generated(denoiser, ElasticRouting(routers=routers, price=1e-3))
    for name, heard in said.items():
        router = routers.router(name)
        assert router is not None
        router.heads.bias[0] -= torch.cat(heard[-2:]).mean()
        router._forward_hooks.clear()
    return routers


def generated(denoiser, one) -> Tensor:
    with accelerate(denoiser.model, one, steps=STEPS):
        return denoiser.generate(STEPS)


@pytest.mark.filterwarnings("ignore:elastic-routing. nothing was saved:UserWarning")
def test_at_rest_and_all_open_nothing_changes(make_denoiser) -> None:
    denoiser = make_denoiser("DiTTransformer2DModel")
    full = denoiser.generate(STEPS)
    before = {name: tensor.clone() for name, tensor in denoiser.model.state_dict().items()}
    routers = decided(denoiser.model, [1.0] * 3)
    assert torch.equal(generated(denoiser, ElasticRouting(routers=routers, budget=1.0)), full)
    assert torch.equal(generated(denoiser, ElasticRouting(routers=routers, price=1.0)), full)
    closed = decided(denoiser.model, [-1.0] * 3, width=1)
    assert not torch.allclose(generated(denoiser, ElasticRouting(routers=closed, price=1.0)), full)
    assert torch.equal(denoiser.generate(STEPS), full)
    assert all(torch.equal(tensor, before[name]) for name, tensor in denoiser.model.state_dict().items())


@pytest.mark.parametrize("name", SOME)
def test_counted_work_is_what_was_done(name: str, make_denoiser) -> None:
    """Rows that rest, narrow parts for some rows of some blocks, and the routers' own work."""
    denoiser = make_denoiser(name)
    one = ElasticRouting(routers=lively(denoiser), price=1e-3)
    with FlopCounter() as full:
        denoiser.generate(STEPS)
    sizes = set()
    for site in one.sites(Backbone(denoiser.model)):
        site.module.register_forward_pre_hook(
            lambda _, args, kwargs: sizes.add(len(next(iter((*args, *kwargs.values()))))), with_kwargs=True
        )
    with accelerate(denoiser.model, one, steps=STEPS) as session, FlopCounter() as work:
        denoiser.generate(STEPS)
    report = session.report()
    assert report.flops_full == pytest.approx(full.total, rel=1e-6)
    assert report.flops_run == pytest.approx(work.total, rel=1e-6)
    assert report.flops_overhead > 0
    assert {1, 2} <= sizes  # some blocks ran for one of two rows
    assert report.flops_run - report.flops_overhead < 0.95 * report.flops_full


@pytest.mark.parametrize("name", SOME)
def test_a_sample_does_not_depend_on_its_batch_mates(name: str, make_denoiser) -> None:
    denoiser = make_denoiser(name)
    one = ElasticRouting(routers=lively(denoiser), price=1e-3)
    first = generated(denoiser, one).view(STEPS, 2, -1)[:, 0]
    for given in ("hidden_states", "encoder_hidden_states"):
        if given in denoiser.inputs:
            denoiser.inputs[given][1] *= 3
    torch.testing.assert_close(generated(denoiser, one).view(STEPS, 2, -1)[:, 0], first, rtol=1e-4, atol=1e-5)


def test_a_block_that_rests_adds_what_is_foretold(make_denoiser) -> None:
    """Seen from outside: what the block behind is given, less what the one before gave."""
    denoiser = make_denoiser("DiTTransformer2DModel")
    blocks = denoiser.model.transformer_blocks
    added: list[Tensor] = []
    kept: dict[str, Tensor] = {}

    def before(module, args, kwargs) -> None:
        kept["given"] = (args[0] if args else kwargs["hidden_states"]).clone()

    blocks[1].register_forward_pre_hook(before, with_kwargs=True)
    blocks[1].register_forward_hook(lambda module, args, output: added.append(output - kept["given"]))
    routers = decided(denoiser.model, [1.0, -1.0, 1.0])
    with accelerate(denoiser.model, ElasticRouting(routers=routers, price=1.0, reuse=2), steps=STEPS) as session:
        denoiser.generate(STEPS)
    # It runs in steps 0, 3, 6 (twice in a row it may rest) and in the last.
    assert {row.name: row.ran for row in session.report().sites}["transformer_blocks.1"] == 4
    for step in (1, 2):
        torch.testing.assert_close(added[step], added[0], rtol=1e-4, atol=1e-5)
    slope = (added[3] - added[0]) / 3
    for step in (4, 5):
        torch.testing.assert_close(added[step], added[3] + (step - 3) * slope, rtol=1e-4, atol=1e-5)
    added.clear()
    generated(denoiser, ElasticRouting(routers=routers, price=1.0, memory=1, reuse=STEPS))
    torch.testing.assert_close(added[1:-1], [added[0]] * (STEPS - 2), rtol=1e-4, atol=1e-5)
    added.clear()
    generated(denoiser, ElasticRouting(routers=routers, price=1.0, memory=0, reuse=STEPS))
    assert all(not one.any() for one in added[1:-1])  # the paper's skip is the identity


def test_a_narrow_block_is_the_cut_one(make_denoiser) -> None:
    denoiser = make_denoiser("DiTTransformer2DModel")
    parts = elastic_parts(Backbone(denoiser.model))
    neurons = sort_neurons(parts, lambda: denoiser.generate(3))
    routers = decided(denoiser.model, [1.0] * 3, width=1)
    sorted_ = Routers(denoiser.model, 4, neurons).state_dict()
    routers.load_state_dict(routers.state_dict() | {name: sorted_[name] for name in sorted_ if "_" in name[-6:]})
    with torch.no_grad(), accelerate(denoiser.model, ElasticRouting(routers=routers, price=1.0), steps=3) as session:
        outputs = [denoiser.model(**denoiser.inputs).sample for _ in range(3)]
    assert torch.equal(outputs[0], denoiser.model(**denoiser.inputs).sample)
    half = sum(seen.flops for seen in probe(Backbone(denoiser.model), **denoiser.inputs).of_kind("feed_forward")) / 2
    report = session.report()
    assert report.steps[1].flops_run == pytest.approx(report.steps[0].flops_run - 2 * half + report.flops_overhead)
    for name, (module, shape) in parts.items():
        cut = narrowed(module, shape, neurons[name].order[: shape.hidden // 2], neurons[name].mean)
        denoiser.model.set_submodule(name, cut)
    with torch.no_grad():
        torch.testing.assert_close(outputs[1], denoiser.model(**denoiser.inputs).sample)


@pytest.mark.parametrize(("price", "direction"), [(1e-6, -1), (1e3, 1)])
def test_gradients_open_where_work_is_cheap_and_leave_the_backbone_alone(make_denoiser, price, direction) -> None:
    denoiser = make_denoiser("DiTTransformer2DModel")
    before = {name: tensor.clone() for name, tensor in denoiser.model.state_dict().items()}
    neurons = sort_neurons(elastic_parts(Backbone(denoiser.model)), lambda: denoiser.generate(2))
    routers = Routers(denoiser.model, 4, neurons)
    call = {**denoiser.inputs, "return_dict": False}
    prices = torch.full((2,), price)
    torch.manual_seed(0)
    works = []
    for _ in range(12):
        routing = RelaxedRouting(routers=routers, row_prices=prices)
        with accelerate(denoiser.model, routing, steps=STEPS) as session:
            for step in (0, 4):
                session.step(step)
                given = call | {"timestep": call["timestep"] * (1 - 0.2 * step)}
                found = denoiser.model(**given)[0]
        target = Context().run(denoiser.model, **given)[0]
        told = routing_loss(found, target, routing.players[0].work, prices)
        told["loss"].backward()
        works.append(float(told["work"]))
    assert 0 < min(works) < max(works) <= 1
    open_ = sum(float(router.heads.bias.grad[0]) for router in routers.routers.values())
    full = sum(float(router.heads.bias.grad[len(WIDTHS)]) for router in routers.routers.values())
    assert direction * open_ > 0
    assert direction * full > 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in denoiser.model.state_dict().items())
    assert all(parameter.grad is None for parameter in denoiser.model.parameters())


def test_the_objective_is_as_written() -> None:
    target = torch.tensor([[3.0, 4.0], [1.0, 1.0]])
    found = target + torch.tensor([[0.5, 0.0], [0.0, 0.0]])
    told = routing_loss(found, target, torch.tensor([0.25, 1.0]), torch.tensor([0.01, 1.0]))
    assert float(told["loss"]) == pytest.approx((math.log(1 + 0.01 / 0.01) + 0.25 + 1.0) / 2)
    assert float(told["error"]) == pytest.approx(0.005)
    assert float(told["work"]) == pytest.approx(0.625)


@pytest.mark.filterwarnings("ignore:elastic-routing. nothing was saved:UserWarning")
def test_a_budget_becomes_a_price(make_denoiser) -> None:
    """Between prices that were tried it is interpolated; a routers' threshold on the price makes that exact here."""
    denoiser = make_denoiser("DiTTransformer2DModel")
    routers = decided(denoiser.model, [0.0] * 3)
    for place, name in enumerate(routers.names):  # block k runs while price < 10 ** -k, roughly
        router = routers.router(name)
        assert router is not None
        with torch.no_grad():
            router.circumstances.weight.zero_()
            router.circumstances.bias.zero_()
            router.circumstances.weight[0, -1] = -1.0
            router.circumstances.bias[0] = -1.15 * place + 20.0
            router.heads.weight[0, router.heads.in_features // 2] = 1.0
            router.heads.bias[0] = -20.0

    def report(one: ElasticRouting):
        with accelerate(denoiser.model, one, steps=STEPS) as session:
            denoiser.generate(STEPS)
        return session.report()

    set_prices(routers, report, prices=[1e-4, 0.03, 0.3, 3.0], reuses=[4])
    shares = [share for _, share in routers.prices[4]]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 1 > shares[-1]  # routers cost something
    for price, share in routers.prices[4]:
        assert routers.price_for(share) == (pytest.approx(price), 4)
        budget = (2 + (STEPS - 2) * share) / STEPS
        if budget <= 1:
            assert report(ElasticRouting(routers=routers, budget=budget)).fraction == pytest.approx(budget, rel=1e-3)
    with pytest.raises(ShortcutError, match=r"light steps can take from .* of a step's work, got 0\.0"):
        report(ElasticRouting(routers=routers, budget=0.27))
    with pytest.raises(ShortcutError, match=r"budget 0\.2 cannot be reached in 8 steps"):
        report(ElasticRouting(routers=routers, budget=0.2))


def test_they_are_saved_and_read(make_denoiser, tmp_path) -> None:
    denoiser = make_denoiser("DiTTransformer2DModel")
    model, routers = denoiser.model, lively(denoiser)
    routers.prices = {2: ((1e-4, 0.9), (1e-2, 0.4)), 4: ((1e-4, 0.8), (1e-2, 0.2))}
    assert routers.price_for(0.4) == (pytest.approx(1e-2), 2)
    assert routers.price_for(0.2) == (pytest.approx(1e-2), 4)
    with pytest.raises(ShortcutError, match=r"light steps can take from 0\.40 to 0\.90 of a step's work, got 0\.20"):
        routers.price_for(0.2, reuse=2)
    with pytest.raises(ShortcutError, match=r"reuse must be one of \[2, 4\] with a budget, got 3"):
        routers.price_for(0.2, reuse=3)
    routers.save(tmp_path / "routers.safetensors")
    read = Routers.load(tmp_path / "routers.safetensors", model)
    assert (read.hidden, read.prices) == (8, routers.prices)
    for name, tensor in routers.state_dict().items():
        found = read.state_dict()[name]
        assert torch.equal(found, tensor.half().float() if tensor.is_floating_point() else tensor), name
    (tmp_path / "other").write_bytes(b"no tensors")
    with pytest.raises(ShortcutError, match="other holds no routers for a DiTTransformer2DModel"):
        Routers.load(tmp_path / "other", model)


def test_what_is_refused(make_denoiser) -> None:
    denoiser = make_denoiser("DiTTransformer2DModel")
    model, routers = denoiser.model, lively(denoiser)
    with pytest.raises(ShortcutError, match="elastic-routing needs routers"):
        shortcut("elastic-routing", budget=0.5)
    inputs = make_denoiser("DiTTransformer2DModel").inputs
    with (
        pytest.raises(ShortcutError, match="these routers know of no budget"),
        accelerate(model, ElasticRouting(routers=routers, budget=0.6), steps=4),
    ):
        model(**inputs)
    with pytest.raises(ShortcutError, match="price must be above 0"):
        ElasticRouting(routers=routers, price=0.0)
    with pytest.raises(ShortcutError, match=r"memory must be in \[0, 2\], got 3"):
        ElasticRouting(routers=routers, memory=3)
    with pytest.raises(ShortcutError, match="reuse must be at least 1, got 0"):
        ElasticRouting(routers=routers, reuse=0)
    with pytest.raises(ShortcutError, match="these routers are not for this Flux"):
        accelerate(make_denoiser("FluxTransformer2DModel").model, ElasticRouting(routers=routers, price=1.0), steps=4)
    with pytest.raises(
        ShortcutError, match=r"elastic-routing and delta-cache both|delta-cache and elastic-routing both"
    ):
        accelerate(model, [ElasticRouting(routers=routers, price=1.0), DeltaCache(budget=0.6)], steps=4)
    with pytest.raises(ShortcutError, match="routers need blocks of tokens, and a UNet2DModel has none"):
        Routers(make_denoiser("UNet2DModel").model)
    with pytest.raises(ShortcutError, match="hidden must be at least 1, got 0"):
        Routers(model, 0)
