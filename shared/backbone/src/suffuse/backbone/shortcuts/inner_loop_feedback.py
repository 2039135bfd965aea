"""Inner loop feedback (ILF, Gwilliam et al. 2025, arXiv 2501.13107): a small trained module foretells features.

A module shaped like one block of the backbone, and begun as a copy of it, stands in for all blocks in light steps: it
is given the features that the last steps foretell (`forecast_cache.py`) and the present timestep, and corrects them by
what it has learned. Its correction is scaled by a learned number that begins at 0, so that untrained it is the forecast
alone. Only it is trained, by distillation: the backbone is frozen, and its own output in the light step is the target.

The authors' code is not public. From the abstract are the copied block, the scale that begins at 0, the frozen backbone
and the distillation; where the features come from and the loss are ours.
"""

import copy
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from suffuse.backbone.engine.errors import ShortcutError
from suffuse.backbone.engine.shortcut import Player, Scope, SiteCall
from suffuse.backbone.shortcuts.forecast_cache import ForecastCache, ForecastPlayer
from suffuse.backbone.sites import Backbone, Profile
from suffuse.backbone.sites.streams import Streams, unpack


class Feedback(nn.Module):
    """The trained part: a copy of block number `depth` of a denoiser, and a scale.

    Raises ShortcutError if the denoiser has no such block.
    """

    def __init__(self, model: nn.Module, depth: int = -1) -> None:
        super().__init__()
        blocks = Backbone(model).of_kind("block")
        if not -len(blocks) <= depth < len(blocks):
            raise ShortcutError(f"depth must be in [{-len(blocks)}, {len(blocks) - 1}], got {depth}")
        self.depth = depth % len(blocks)
        self.block = copy.deepcopy(blocks[self.depth].module).requires_grad_(True)
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, arguments: dict[str, Any], streams: Streams) -> dict[str, Tensor]:
        """The streams among the arguments of a block, corrected."""
        values = unpack(self.block(**arguments))
        return {
            stream.argument: torch.lerp(arguments[stream.argument], values[stream.position], self.scale)
            for stream in streams.streams
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the weights as safetensors."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        Path(path).write_bytes(save(tensors, metadata={"depth": json.dumps(self.depth)}))

    @classmethod
    def load(cls, path: str | os.PathLike[str], model: nn.Module) -> "Feedback":
        """Read what `save` wrote, for the denoiser that it was trained for.

        Raises ShortcutError, naming the file, for anything else.
        """
        try:
            with safe_open(Path(path), framework="pt") as file:
                feedback = cls(model, int(file.metadata()["depth"]))
                feedback.load_state_dict({name: file.get_tensor(name).float() for name in file.keys()})  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ShortcutError(f"{path} holds no feedback for a {type(model).__name__}: {error}") from None
        return feedback.eval().requires_grad_(False)


@dataclass(frozen=True, kw_only=True, eq=False)
class InnerLoopFeedback(ForecastCache):
    """Leave out all blocks in some steps, and let a trained module correct what is foretold.

    Attributes:
        feedback: The trained module.

    The others are those of `ForecastCache`.
    """

    name: ClassVar[str] = "inner-loop-feedback"
    scope: ClassVar[Scope] = "block"

    feedback: Feedback

    def player(self, backbone: Backbone) -> Player:
        """A player that remembers nothing yet."""
        return _FeedbackPlayer(self)


class _FeedbackPlayer(ForecastPlayer):
    def __init__(self, settings: InnerLoopFeedback) -> None:
        super().__init__(settings)
        self._feedback = settings.feedback
        self._flops = 0.0

    def overhead(self, profile: Profile) -> float:
        block = profile.of_kind("block")[self._feedback.depth]
        self._flops = block.flops
        return block.flops / profile.flops

    def corrected(self, call: SiteCall, output: Any) -> Any:
        assert call.seen is not None
        streams = call.seen.streams
        values = dict(enumerate(unpack(output)))
        foretold = {stream.argument: values[stream.position] for stream in streams.streams}
        call.spend(self._flops * call.moment.samples)
        better = self._feedback({**call.arguments, **foretold}, streams)
        return streams.pack({**values, **{stream.position: better[stream.argument] for stream in streams.streams}})
