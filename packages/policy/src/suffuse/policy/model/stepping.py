"""One denoising step of a policy after another, in whichever form its network is at hand.

`DenoisingStep` is the network as the shared engine meets it: a module that is called once a step, with the residual
branches of its layers as sites. `begin_chunk` takes the packed form (`packed.py`) where it can, and otherwise this one.

Dimensions: b batch, h horizon, a action, o observation steps, c channels of an observation step, k times, n whatever
the denoiser makes of a time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from jaxtyping import Float, Num
from torch import Tensor, nn

from suffuse.backbone import accelerate
from suffuse.backbone.shortcuts import BlockAdaptiveCache
from suffuse.backbone.sites import Layout, register
from suffuse.policy.model.mlp import ActionMLP
from suffuse.policy.model.packed import Due, fits, packed
from suffuse.policy.model.transformer import ActionTransformer
from suffuse.policy.model.unet import ActionUNet

Denoise = Callable[[Float[Tensor, "b h a"], int], Float[Tensor, "b h a"]]
"""What the network finds in noisy actions at a step, by its number."""

PART_NAMES = ("attention", "cross", "mlp")
"""The residual branches of a layer, in the order in which they run."""


class DenoisingStep(nn.Module):
    """A call of the denoiser, with what is computed once per chunk given."""

    def __init__(self, network: ActionTransformer | ActionUNet | ActionMLP) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, actions: Float[Tensor, "b h a"], time: Float[Tensor, "#b n"], observed: Float[Tensor, "b ..."]
    ) -> Float[Tensor, "b h a"]:
        """One prediction."""
        return self.network.denoise(actions, time, observed)


register(DenoisingStep, Layout(blocks=("network.layers",)))


def part_names(depth: int) -> list[str]:
    """The residual branches of a denoising step by the names that the engine has for them, in order."""
    return [f"network.layers.{place}.{part}" for place in range(depth) for part in PART_NAMES]


@lru_cache(maxsize=32)
def due_steps(depth: int, shortcut: BlockAdaptiveCache) -> list[Due]:
    """For every step of a chunk, which residual branches of a transformer are computed: in the first and last, all."""
    updates = [set(shortcut.updates.get(name, range(shortcut.steps))) for name in part_names(depth)]
    ends = (0, shortcut.steps - 1)
    return [[number in ends or number in steps for steps in updates] for number in range(shortcut.steps)]


@contextmanager
def begin_chunk(
    step: DenoisingStep,
    observation: Float[Tensor, "b o c"],
    times: Num[Tensor, " k"],
    shortcut: BlockAdaptiveCache | None = None,
    *,
    pack: bool = True,
) -> Iterator[Denoise]:
    """Chunks under way side by side, from encoded observations.

    The packed network follows the shortcut's updates by itself: what it gives is what the shared engine would, but for
    rounding, without the engine's bookkeeping, which would cost more than the branches of a small network. `pack=False`
    keeps the network as it is.
    """
    network = step.network
    if pack and fits(network):
        assert isinstance(network, ActionTransformer)
        chunk = packed(network).begin(network, observation, times)
        due = None if shortcut is None else due_steps(network.depth, shortcut)
        yield lambda x, number: chunk.denoise(x, number, None if due is None else due[number])
        return
    observed, embedded = network.observe(observation), network.embed_time(times)

    def denoise(x: Float[Tensor, "b h a"], number: int) -> Float[Tensor, "b h a"]:
        return step(x.to(network.dtype), embedded[number : number + 1], observed).float()

    if shortcut is None:
        yield denoise
        return
    with accelerate(step, [shortcut], steps=shortcut.steps):
        yield denoise
