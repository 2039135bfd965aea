"""Sessions: whose calls they serve, what they leave alone, and what they put down."""

import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module, remove_hook_from_module
from denoisers.denoiser import Denoiser
from torch import Tensor, nn

from suffuse.backbone import accelerate
from suffuse.backbone.engine import Clock, Player, Session, SessionError, Shortcut, ShortcutError, SiteCall, each_row
from suffuse.backbone.shortcuts import BlockAdaptiveCache, DeltaCache
from suffuse.backbone.shortcuts import shortcut as shortcut_by_name
from suffuse.backbone.sites import Backbone, FlopCounter, Layout

STEPS = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Freeze(Shortcut):
    """Leaves out blocks for rows whose first feature is negative: a decision that differs from sample to sample."""

    name: ClassVar[str] = "freeze"
    scope: ClassVar[str] = "block"

    def sites(self, backbone):
        return backbone.of_kind("block")

    def player(self, backbone):
        return _FreezePlayer()


class _FreezePlayer(Player):
    def around(self, call: SiteCall) -> Any:
        x = call.arguments["x"]
        return each_row(call, x[:, 0, 0] >= 0, lambda: x)


@pytest.mark.parametrize("name", ["delta-cache", "block-adaptive-cache"])
def test_inference_mode_gives_the_same(make_denoiser, name: str) -> None:
    denoiser = make_denoiser("DiTTransformer2DModel")
    updates = {f"transformer_blocks.{i}.{part}": [0, 5] for i in range(3) for part in ("attn1", "ff")}
    shortcut = DeltaCache(budget=0.6) if name == "delta-cache" else BlockAdaptiveCache(steps=STEPS, updates=updates)
    with accelerate(denoiser.model, shortcut, steps=STEPS):
        expected = denoiser.generate(STEPS)
        with torch.inference_mode():
            assert torch.equal(denoiser.generate(STEPS), expected)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, suffuse.backbone; print(sorted({'torch', 'diffusers', 'numpy'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_first_and_last_step_run_whatever_a_shortcut_says(plain_denoiser, euler) -> None:
    class Nothing(_FreezePlayer):
        def around(self, call: SiteCall) -> Any:
            return torch.zeros_like(call.arguments["x"])

    class LeaveOutAll(Freeze):
        def player(self, backbone):
            return Nothing()

    starts = [torch.randn(2, 3, 8, dtype=torch.float64) for _ in range(4)]
    time = torch.ones(2, dtype=torch.float64)
    with accelerate(plain_denoiser, LeaveOutAll(), steps=4):
        outputs = [plain_denoiser(x, time) for x in starts]
    for step in (0, 3):
        assert torch.equal(outputs[step], plain_denoiser(starts[step], time))
    assert not outputs[1].any()
    assert not outputs[2].any()


@pytest.mark.filterwarnings("ignore:freeze. nothing was saved")
def test_decisions_by_sample(plain_denoiser) -> None:
    """A sample runs or rests by itself: as it would alone, whatever its batch mates do, and counted by rows."""
    torch.manual_seed(1)
    x = torch.randn(4, 3, 8, dtype=torch.float64)
    x[:, 0, 0] = torch.tensor([2.0, -2.0, 2.0, -2.0])

    def third_call(batch: torch.Tensor) -> tuple[torch.Tensor, float]:
        with accelerate(plain_denoiser, Freeze(), steps=9) as session:
            for _ in range(3):
                out = plain_denoiser(batch, torch.full((len(batch),), 0.1, dtype=torch.float64))
        return out, session.report().flops_run

    together, _ = third_call(x)
    for row in range(4):
        alone, _ = third_call(x[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-12, atol=1e-12)
    other_mates, _ = third_call(torch.cat([x[:2], x[1:2], x[1:2]]))
    torch.testing.assert_close(together[:2], other_mates[:2], rtol=1e-12, atol=1e-12)
    full = 6 * 4 * 3 * 2 * 8 * 8
    resting = torch.equal(together[1], x[1])
    assert resting
    _, work = third_call(x[[1, 1, 1, 1]])
    assert work == full  # of three calls the first only


class Parts(nn.Module):
    """Two blocks with a part inside, called with names alone."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = nn.ModuleList(PartedBlock() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.stack:
            x = block(x=x)
        return x


class PartedBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ff = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.ff(input=x)


def test_work_is_counted_by_rows_also_in_parts_of_parts() -> None:
    """A block runs for one row of four; its part, for one row too, is left out: nothing is spared twice."""

    class OneRow(Freeze):
        def sites(self, backbone):
            return backbone.sites

        def player(self, backbone):
            return OneRowPlayer()

    class OneRowPlayer(Player):
        def around(self, call):
            if call.site.kind == "feed_forward":
                return torch.zeros_like(call.arguments["input"])
            return each_row(call, torch.arange(4) == 2, lambda: call.arguments["x"])

    model = Parts()
    layout = Layout(blocks=("stack",), feed_forward=("ff",))
    clock = Clock(3, 1)
    with Session([Backbone(model, layout)], [OneRow()], clock) as session, FlopCounter() as counter:
        for _ in range(3):
            model(torch.randn(4, 3, 8))
    assert session.report().flops_run == counter.total == 2 * 2 * 4 * 3 * 2 * 8 * 8


def test_branches_of_guidance_stay_apart(plain_denoiser, euler) -> None:
    """Two calls a step give what each branch gives by itself, also when one is left out for some steps."""
    condition, none = torch.randn(2, 1, 8, dtype=torch.float64), torch.zeros(2, 1, 8, dtype=torch.float64)
    settings = DeltaCache(budget=0.5)
    with accelerate(plain_denoiser, settings, steps=STEPS):
        alone = euler(plain_denoiser, STEPS, condition=condition)
    x = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0)).double()
    with accelerate(plain_denoiser, settings, steps=STEPS) as session:
        for step in range(STEPS):
            session.step(step)
            time = torch.full((2,), 1 - step / STEPS, dtype=torch.float64)
            if step % 4 != 3:  # the unconditional branch comes first, and not in every step
                plain_denoiser(x, time, condition=none)
            output = plain_denoiser(x, time, condition=condition)
            assert torch.equal(output, alone[step])
            x = x - output / STEPS
    with accelerate(plain_denoiser, settings, steps=STEPS, calls_per_step=2) as session:
        for time in [torch.full((2,), 0.5, dtype=torch.float64)] * STEPS:
            plain_denoiser(x, time, condition=none)
            plain_denoiser(x, time, condition=condition)
    assert session.report().generations == 1
    assert session.report().fraction == pytest.approx(0.5, rel=0.05)


def test_guidance_that_comes_in_late_and_first(plain_denoiser, euler) -> None:
    """From step 4 on the unconditional branch is called, before the other: neither gets what is the other's."""
    condition, none = torch.randn(2, 1, 8, dtype=torch.float64), torch.zeros(2, 1, 8, dtype=torch.float64)
    with accelerate(plain_denoiser, DeltaCache(budget=0.5), steps=STEPS):
        alone = euler(plain_denoiser, STEPS, condition=condition)
    x = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0)).double()
    with accelerate(plain_denoiser, DeltaCache(budget=0.5), steps=STEPS) as session:
        for step in range(STEPS):
            session.step(step)
            time = torch.full((2,), 1 - step / STEPS, dtype=torch.float64)
            if step >= 4:
                late = plain_denoiser(x, time, condition=none)
            if step == 4:  # its first call runs in full
                torch.testing.assert_close(late, plain_denoiser.stack[5](_all_but_last(plain_denoiser, x, time), time))
            output = plain_denoiser(x, time, condition=condition)
            assert torch.equal(output, alone[step])
            x = x - output / STEPS


def _all_but_last(model, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    for block in model.stack[:5]:
        x = block(x, time)
    return x


def test_generations_forget_each_other(plain_denoiser, euler) -> None:
    with accelerate(plain_denoiser, "delta-cache", budget=0.5, steps=STEPS) as session:
        first = euler(plain_denoiser, STEPS, seed=1)
        second = euler(plain_denoiser, STEPS, seed=2)
        assert torch.equal(euler(plain_denoiser, STEPS, seed=1), first)
    assert session.report().generations == 3
    with accelerate(plain_denoiser, "delta-cache", budget=0.5, steps=STEPS):
        assert torch.equal(euler(plain_denoiser, STEPS, seed=2), second)


def test_a_failed_call_leaves_nothing_behind(plain_denoiser, euler) -> None:
    with accelerate(plain_denoiser, "delta-cache", budget=0.5, steps=STEPS) as session:
        good = euler(plain_denoiser, STEPS)
        with pytest.raises(RuntimeError, match="shapes"):
            plain_denoiser(torch.zeros(2, 3, 7).double(), torch.zeros(2).double())
        session.step(0)
        for step, time in enumerate(torch.linspace(1, 0.1, STEPS).double()):
            session.step(step)
            plain_denoiser(torch.zeros(2, 3, 8).double(), time.expand(2))
    assert torch.equal(euler(plain_denoiser, STEPS)[0], good[0])


def test_threads_share_a_model_but_no_session(plain_denoiser, euler) -> None:
    settings = {1: DeltaCache(budget=0.5), 2: DeltaCache(budget=0.7, turn=0.0), 3: None}
    expected, results = {}, {}
    for key, shortcut in settings.items():
        if shortcut is None:
            expected[key] = euler(plain_denoiser, STEPS, seed=key)
        else:
            with accelerate(plain_denoiser, shortcut, steps=STEPS):
                expected[key] = euler(plain_denoiser, STEPS, seed=key)
    barrier = threading.Barrier(len(settings))

    def work(key: int) -> None:
        barrier.wait()
        for _ in range(20):
            if settings[key] is None:
                results[key] = euler(plain_denoiser, STEPS, seed=key)
            else:
                with accelerate(plain_denoiser, settings[key], steps=STEPS):
                    results[key] = euler(plain_denoiser, STEPS, seed=key)
            assert torch.equal(results[key], expected[key])

    threads = [threading.Thread(target=work, args=(key,)) for key in settings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(results[key], expected[key]) for key in settings)
    assert not any("forward" in module.__dict__ for module in plain_denoiser.modules())


def test_refusals(plain_denoiser) -> None:
    with pytest.raises(ShortcutError, match=r"budget must be in \(0, 1\], got 1\.5"):
        accelerate(plain_denoiser, "delta-cache", budget=1.5, steps=STEPS)
    with pytest.raises(ShortcutError, match="steps is missing"):
        accelerate(plain_denoiser, "delta-cache", budget=0.5)
    with pytest.raises(ShortcutError, match="no shortcut 'warp'; there are"):
        accelerate(plain_denoiser, "warp", steps=STEPS)
    with pytest.raises(ShortcutError, match="block-adaptive-cache has to be calibrated for a budget first"):
        accelerate(plain_denoiser, "block-adaptive-cache", budget=0.5, steps=STEPS)
    with pytest.raises(ShortcutError, match="delta-cache has no setting 'speed'; it has budget, interval, turn"):
        shortcut_by_name("delta-cache", speed=3)
    with pytest.raises(ShortcutError, match=r"delta-cache and freeze both decide on the block stack\.0"):
        accelerate(plain_denoiser, [DeltaCache(budget=0.5), Freeze()], steps=STEPS)
    with pytest.raises(ShortcutError, match="feature-inheritance needs the stages of a UNet"):
        accelerate(plain_denoiser, "feature-inheritance", budget=0.5, steps=STEPS)
    with pytest.raises(ShortcutError, match="no attention or feed-forward part 'nowhere'"):
        accelerate(plain_denoiser, BlockAdaptiveCache(steps=2, updates={"nowhere": [0]}), steps=2)
    with pytest.raises(ShortcutError, match="pipeline with a scheduler or a denoiser is needed, got a str"):
        accelerate("a lighthouse", "delta-cache")
    with (
        accelerate(plain_denoiser, "delta-cache", budget=1.0, steps=STEPS) as session,
        pytest.raises(SessionError, match="PlainDenoiser has a session in this thread"),
    ):
        accelerate(plain_denoiser, "delta-cache", budget=1.0, steps=STEPS).__enter__()
    with pytest.raises(ShortcutError, match=r"step must be in \[0, 9\], got 10"):
        session.step(10)


def test_a_session_that_serves_nobody_says_so(plain_denoiser, euler) -> None:
    with (
        pytest.warns(UserWarning, match="not called inside this session"),
        accelerate(plain_denoiser, DeltaCache(budget=0.5), steps=STEPS),
    ):
        pass
    with (
        pytest.warns(UserWarning, match="nothing was saved in 2 calls"),
        accelerate(plain_denoiser, DeltaCache(budget=0.5), steps=STEPS) as session,
    ):
        euler(plain_denoiser, 2)
    assert "nothing was saved" in str(session.report())


@pytest.mark.parametrize("order", ["before", "after"])
def test_offloading_hooks_may_come_before_or_after(plain_denoiser, euler, order: str) -> None:
    with accelerate(plain_denoiser, "delta-cache", budget=0.5, steps=STEPS):
        expected = euler(plain_denoiser, STEPS)

    def hook() -> None:
        for block in plain_denoiser.stack:
            add_hook_to_module(block, AlignDevicesHook(execution_device="cpu", io_same_device=True))

    if order == "before":
        hook()
    with accelerate(plain_denoiser, "delta-cache", budget=0.5, steps=STEPS) as session:
        if order == "after":
            hook()
        assert torch.equal(euler(plain_denoiser, STEPS), expected)
    assert session.report().fraction == pytest.approx(0.5, rel=0.05)
    full = euler(plain_denoiser, STEPS)
    assert all("_hf_hook" in block.__dict__ for block in plain_denoiser.stack)
    with accelerate(plain_denoiser, "delta-cache", budget=0.5, steps=STEPS):
        assert torch.equal(euler(plain_denoiser, STEPS), expected)
    for block in plain_denoiser.stack:
        remove_hook_from_module(block)
    assert torch.equal(euler(plain_denoiser, STEPS), full)


class LowRank(nn.Module):
    """A linear layer and a low-rank adapter beside it, put where the layer was, as PEFT does."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base, self.scale = base, 1.0
        self.down = nn.Linear(base.in_features, 2, bias=False)
        self.up = nn.Linear(2, base.out_features, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + self.scale * self.up(self.down(x))


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("shortcut", ["delta-cache", "forecast-cache"])
def test_adapters_may_come_before_or_after(make_denoiser, order: str, shortcut: str) -> None:
    """What comes out is that of a model into whose weights the adapters are merged; unset, that of the bare model."""

    def adapt(denoiser: Denoiser, merge: bool) -> list[LowRank]:
        torch.manual_seed(1)
        adapters = []
        for block in denoiser.model.transformer_blocks:
            for name in ("to_q", "to_v"):
                adapter = LowRank(getattr(block.attn1, name)).requires_grad_(False)
                if merge:
                    adapter.base.weight += adapter.up.weight @ adapter.down.weight
                else:
                    setattr(block.attn1, name, adapter)
                adapters.append(adapter)
        return adapters

    def cheap(denoiser: Denoiser) -> torch.Tensor:
        with accelerate(denoiser.model, shortcut, budget=0.7, steps=STEPS) as session:
            output = denoiser.generate(STEPS)
        assert session.report().fraction == pytest.approx(0.7, rel=0.05)
        return output

    merged, denoiser = make_denoiser("DiTTransformer2DModel"), make_denoiser("DiTTransformer2DModel")
    bare = cheap(denoiser)
    adapt(merged, merge=True)
    expected = cheap(merged)
    assert not torch.allclose(expected, bare)
    if order == "before":
        adapters = adapt(denoiser, merge=False)
        torch.testing.assert_close(cheap(denoiser), expected)
    else:
        with accelerate(denoiser.model, shortcut, budget=0.7, steps=STEPS):
            adapters = adapt(denoiser, merge=False)
            torch.testing.assert_close(denoiser.generate(STEPS), expected)
    for adapter in adapters:
        adapter.scale = 0.0
    torch.testing.assert_close(cheap(denoiser), bare)


@pytest.mark.parametrize("what", ["model before", "model after", "blocks before", "blocks after"])
def test_compiled_models(plain_denoiser, euler, what: str) -> None:
    """Compiled before the session or within it, as a whole or block by block, by a compiler that changes no numbers."""
    torch._dynamo.reset()
    plain_denoiser.float()
    products = []

    def backend(graph, inputs):
        count = sum(node.op == "call_function" and "linear" in str(node.target) for node in graph.graph.nodes)

        def call(*arguments):
            products.append(count)
            return graph.forward(*arguments)

        return call

    start = torch.randn(2, 3, 8)

    def run(model) -> torch.Tensor:
        x, outputs = start, []
        for step in range(STEPS):
            outputs.append(model(x, torch.full((2,), 1 - step / STEPS)))
            x = x - outputs[-1] / STEPS
        return torch.stack(outputs)

    with accelerate(plain_denoiser, "delta-cache", budget=0.5, steps=STEPS):
        expected = run(plain_denoiser)

    def compiled():
        if what.startswith("model"):
            return torch.compile(plain_denoiser, backend=backend)
        for block in plain_denoiser.stack:
            block.compile(backend=backend)
        return plain_denoiser

    model = compiled() if what.endswith("before") else plain_denoiser
    full = run(model)
    with accelerate(model, "delta-cache", budget=0.5, steps=STEPS) as session:
        model = compiled() if what.endswith("after") else model
        products.clear()
        torch.testing.assert_close(run(model), expected)
    # What runs, runs compiled: one product for each block.
    assert sum(products) == sum(row.ran for row in session.report().sites)
    assert session.report().fraction == pytest.approx(0.5, rel=0.05)
    torch.testing.assert_close(run(model), full)
