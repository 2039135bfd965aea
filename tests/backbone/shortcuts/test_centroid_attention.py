"""Centroid attention against sums written out, against dense attention, and beside its own ablations."""

import time

import pytest
import torch
from diffusers import DiTTransformer2DModel, FluxTransformer2DModel, SD3Transformer2DModel
from torch import Tensor
from torch.nn import functional as F

from suffuse.backbone import accelerate
from suffuse.backbone.engine import ShortcutError
from suffuse.backbone.shortcuts import CentroidAttention, DeltaCache, cluster, clustered_attention, first_centres
from suffuse.backbone.sites import FlopCounter

STEPS = 8


def tokens(groups: int, count: int, features: int = 16, centres: int = 12, seed: int = 0) -> tuple[Tensor, ...]:
    """Queries, keys and values that lie around common centres, as those of images do."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    label = torch.randint(0, centres, (groups, count), generator=generator)
    base = noise(groups, centres, features).gather(1, label[:, :, None].expand(-1, -1, features))
    return (
        1.5 * base + noise(groups, count, features) / 2,
        base + noise(groups, count, features) / 2,
        base + noise(groups, count, features),
    )


def dense(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    return torch.softmax(query @ key.transpose(-1, -2) * scale, dim=-1) @ value


def test_centroids_stand_for_their_clusters_in_one_softmax() -> None:
    """Density 0: each query meets centroids that count as often as they have members. Written out, query by query."""
    query, key, value = tokens(1, 60)
    output, centroids, work = clustered_attention(
        query, key, value, density=0.0, clusters=(4, 6), scale=0.25, iterations=3, stride=1
    )
    centres, label = cluster(key, first_centres(key, 6), 3)
    assert torch.equal(centres, centroids.key)
    for i in range(60):
        top, bottom = torch.zeros(16, dtype=torch.float64), 0.0
        for c in range(6):
            members = label[0] == c
            if members.any():
                weight = torch.exp(query[0, i] @ key[0, members].mean(0) * 0.25) * members.sum()
                top, bottom = top + weight * value[0, members].mean(0), bottom + weight
        torch.testing.assert_close(output[0, i], top / bottom)
    assert work.pairs == 0


def test_density_one_is_dense_attention() -> None:
    query, key, value = tokens(3, 80)
    output, _, work = clustered_attention(query, key, value, density=1.0, clusters=(5, 9), scale=0.25)
    torch.testing.assert_close(output, dense(query, key, value, 0.25))
    assert work.pairs == 3 * 80 * 80


def test_clusters_of_equal_keys_are_exact_at_any_density() -> None:
    """Where a cluster's keys are all alike, its centroid is right, whatever the values are."""
    query, _, value = tokens(2, 64)
    key = torch.eye(16, dtype=torch.float64).repeat(2, 4, 1) * 3
    centres = torch.eye(16, dtype=torch.float64).repeat(2, 1, 1) * 3
    from suffuse.backbone.shortcuts import Centroids

    start = Centroids(first_centres(query, 4), centres)
    for density in (0.0, 0.3):
        output, _, _ = clustered_attention(
            query, key, value, density=density, clusters=(4, 16), scale=0.25, start=start, stride=1
        )
        torch.testing.assert_close(output, dense(query, key, value, 0.25))


def test_clustering_finds_the_clusters_and_keeps_empty_ones() -> None:
    points = torch.tensor([[[0.0], [0.2], [10.0], [10.2]]])
    centres, label = cluster(points, torch.tensor([[[1.0], [9.0], [100.0]]]), 2)
    torch.testing.assert_close(centres, torch.tensor([[[0.1], [10.1], [100.0]]]))
    assert label.tolist() == [[0, 0, 1, 1]]


def test_compensation_beats_dropping_and_error_beats_score() -> None:
    """At equal density, mean over ten draws."""
    errors: dict[str, list[float]] = {"error": [], "score": [], "drop": []}
    for seed in range(10):
        query, key, value = tokens(2, 400, centres=40, seed=seed)
        truth = dense(query, key, value, 0.25)
        for name, settings in (
            ("error", {"routing": "error"}),
            ("score", {"routing": "score"}),
            ("drop", {"routing": "score", "compensate": False}),
        ):
            output, _, work = clustered_attention(
                query, key, value, density=0.2, clusters=(8, 20), scale=0.25, **settings
            )
            assert 0.17 * 2 * 400**2 < work.pairs <= 0.2 * 2 * 400**2
            errors[name].append(float((output - truth).norm() / truth.norm()))
    mean = {name: sum(values) / 10 for name, values in errors.items()}
    assert mean["error"] < mean["score"] < mean["drop"]


def test_text_is_met_exactly_and_meets_all_exactly() -> None:
    query, key, value = tokens(2, 100)
    output, _, _ = clustered_attention(
        query, key, value, density=0.3, clusters=(4, 8), scale=0.25, image=slice(20, 100)
    )
    truth = dense(query, key, value, 0.25)
    torch.testing.assert_close(output[:, :20], truth[:, :20])
    flipped, _, _ = clustered_attention(
        *(torch.cat([x[:, 20:], x[:, :20]], 1) for x in (query, key, value)),
        density=0.3, clusters=(4, 8), scale=0.25, image=slice(0, 80),
    )  # fmt: skip
    torch.testing.assert_close(torch.cat([flipped[:, 80:], flipped[:, :80]], 1), output)


def test_clusters_are_taken_over_with_what_they_meet_and_new_centroids() -> None:
    query, key, value = tokens(2, 100)
    settings = {"density": 0.3, "clusters": (4, 8), "scale": 0.25, "image": slice(20, 100)}
    output, found, work = clustered_attention(query, key, value, **settings)
    again, same, less = clustered_attention(query, key, value, start=found, keep=True, **settings)
    assert torch.equal(again, output)
    assert same is found
    assert (less.attention, less.pairs, less.overhead) == (work.attention, work.pairs, 0.0)

    # The same tokens with other values: centroids are those of the new values, so what is constant stays so.
    constant, _, _ = clustered_attention(query, key, torch.full_like(value, 3.0), start=found, keep=True, **settings)
    torch.testing.assert_close(constant, torch.full_like(value, 3.0))

    fewer = (x[:, :90] for x in (query, key, value))
    _, new, work = clustered_attention(*fewer, start=found, keep=True, **(settings | {"image": slice(20, 90)}))
    assert work.overhead > 0
    assert len(new.plans[0].key_label) == 70


def test_groups_do_not_see_each_other() -> None:
    query, key, value = tokens(3, 80)
    together, _, _ = clustered_attention(query, key, value, density=0.3, clusters=(4, 8), scale=0.25)
    for group in range(3):
        alone, _, _ = clustered_attention(
            *(x[group : group + 1] for x in (query, key, value)), density=0.3, clusters=(4, 8), scale=0.25
        )
        torch.testing.assert_close(alone[0], together[group])


def dit(size: int = 16) -> DiTTransformer2DModel:
    torch.manual_seed(0)
    model = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=16, num_layers=3, sample_size=size, patch_size=1, norm_num_groups=4
    )
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return model.eval().requires_grad_(False)


def generate(model: DiTTransformer2DModel, size: int = 16, rows: tuple[int, ...] = (0, 1)) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 4, size, size, generator=generator)[list(rows)]
    for step in range(STEPS):
        out = model(x, torch.full((len(rows),), 900 - step), torch.tensor([3, 4])[list(rows)], return_dict=False)[0]
        x = x - out / STEPS
    return x


@pytest.mark.parametrize("settings", [{"density": 0.3}, {"budget": 0.85}])
def test_in_a_model(settings: dict[str, float]) -> None:
    """Counted operations are those of the report, budgets are kept, and batch mates have no say."""
    model = dit()
    full = generate(model)
    with FlopCounter() as plain:
        generate(model)
    shortcut = CentroidAttention(**settings, least_tokens=64, query_tokens=32, key_tokens=16)
    with accelerate(model, shortcut, steps=STEPS) as session, FlopCounter() as work:
        cheap = generate(model)
    report = session.report()
    assert report.flops_full == pytest.approx(plain.total)
    assert report.flops_run == pytest.approx(work.total, rel=1e-3)
    if "budget" in settings:
        assert report.fraction == pytest.approx(settings["budget"], rel=0.05)
    assert report.flops_overhead > 0
    assert 0 < float((cheap - full).norm() / full.norm()) < 0.05
    with accelerate(model, shortcut, steps=STEPS):
        torch.testing.assert_close(generate(model, rows=(0,)), cheap[:1], rtol=1e-4, atol=1e-4)
    assert torch.equal(generate(model), full)


def test_density_one_changes_no_bit() -> None:
    model = dit(8)
    full = generate(model, 8)
    with accelerate(model, CentroidAttention(density=1.0, least_tokens=16), steps=STEPS):
        assert torch.equal(generate(model, 8), full)


@pytest.mark.filterwarnings("ignore:centroid-attention. nothing was saved")  # clustering so few tokens costs more
@pytest.mark.parametrize(("kind", "text"), [(FluxTransformer2DModel, "first"), (SD3Transformer2DModel, "last")])
def test_joint_text_stays_exact(make_denoiser, kind: type, text: str) -> None:
    denoiser = make_denoiser(kind.__name__)
    full = denoiser.generate(STEPS)
    shortcut = CentroidAttention(density=0.5, least_tokens=16, query_tokens=4, key_tokens=4, text=text)
    with accelerate(denoiser.model, shortcut, steps=STEPS) as session:
        cheap = denoiser.generate(STEPS)
    attention = [row for row in session.report().sites if row.flops_run != row.flops_full]
    assert attention
    assert 0 < float((cheap - full).norm() / full.norm()) < 0.05


def test_inside_delta_cache() -> None:
    model = dit()
    inner = CentroidAttention(density=0.2, least_tokens=64, query_tokens=32, key_tokens=16)
    with accelerate(model, [inner, DeltaCache(budget=0.7)], steps=STEPS) as session, FlopCounter() as work:
        generate(model)
    assert session.report().shortcuts == ("delta-cache", "centroid-attention")
    assert session.report().flops_run == pytest.approx(work.total, rel=1e-3)
    assert session.report().fraction < 0.68


def test_settings_outside_their_ranges() -> None:
    for bad, message in (
        ({}, "either a budget or a density"),
        ({"budget": 0.5, "density": 0.5}, "either a budget or a density"),
        ({"density": 1.5}, r"density must be in \[0, 1\], got 1\.5"),
        ({"density": 0.5, "key_tokens": 0}, "key_tokens must be at least 1, got 0"),
    ):
        with pytest.raises(ShortcutError, match=message):
            CentroidAttention(**bad)
    model = dit()
    shortcut = CentroidAttention(budget=0.2, least_tokens=64)
    with pytest.raises(ShortcutError, match=r"budget 0\.2 cannot be reached"), accelerate(model, shortcut, steps=STEPS):
        generate(model)


def test_it_is_faster_than_dense_attention() -> None:
    """4,096 tokens, a third of the pairs: CPU time against torch's kernel, best of three each."""
    query, key, value = (x.float() for x in tokens(1, 4096, features=64, centres=60))

    def best(call) -> float:
        times = []
        for _ in range(3):
            start = time.process_time()
            call()
            times.append(time.process_time() - start)
        return min(times)

    ours = best(lambda: clustered_attention(query, key, value, density=0.2, clusters=(16, 64), scale=0.125))
    theirs = best(lambda: F.scaled_dot_product_attention(query[None], key[None], value[None], scale=0.125))
    assert ours < theirs
