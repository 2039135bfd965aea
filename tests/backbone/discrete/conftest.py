"""A small language model with random weights, and its logits computed the plain way: no cache, no training mask."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from suffuse.backbone.models import BlockLanguageModel

MakeModel = Callable[..., BlockLanguageModel]
PlainLogits = Callable[..., Tensor]


@pytest.fixture
def make_model() -> MakeModel:
    """Models in float64 in which every layer matters: residual branches of order one, not those of a fresh model."""

    def make(**config) -> BlockLanguageModel:
        torch.manual_seed(1)
        model = BlockLanguageModel(**{"vocabulary": 3, "width": 16, "depth": 2, "heads": 2, "mlp_width": 32} | config)
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "embedding" not in name:
                nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
        nn.init.normal_(model.head.weight, std=2 * 16**-0.5)
        return model.double().eval().requires_grad_(False)

    return make


@pytest.fixture
def plain_logits() -> PlainLogits:
    """Logits (n v) of one sequence whose tokens see their own group and the groups before it, in one plain pass."""

    def logits(
        model: BlockLanguageModel, tokens: Sequence[int], groups: Sequence[int], condition: Tensor | None = None
    ) -> Tensor:
        leading, crossing = model.lead(1, None if condition is None else condition[None], None)
        groups = [-1] * leading.shape[1] + list(groups)
        mask = torch.tensor([[key <= query for key in groups] for query in groups])
        hidden = torch.cat([leading, model.embedding(torch.tensor([list(tokens)], dtype=torch.long))], dim=1)
        hidden = model.transformer(hidden, torch.arange(len(groups))[None], mask[None, None], crossing)
        return model.head(hidden)[0, leading.shape[1] :]

    return logits
