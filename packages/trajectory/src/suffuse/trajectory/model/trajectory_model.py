"""TrajDLM: block diffusion over road segments, as a network. Read top to bottom: scorer, then the model.

Following TrajDLM (Wongso et al. 2026, arXiv 2605.10020) a trip is a sequence of segments, filled in block by block
from masks; segments are embedded by a road encoder, and only what the topology allows is scored. Beyond it: each
segment is seen relative to the trip's destination, every trip has travel times, and no weight belongs to one city.

Dimensions: b trips, n positions after the origin, q masked positions, m candidates, s segments, d width, r road
channels.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from suffuse.backbone.models.block_transformer import BlockTransformer
from suffuse.backbone.models.pretrained import PretrainedModel, register_to_config
from suffuse.trajectory.model.city import SEGMENT_FEATURES, TURN_FEATURES, CityFeatures
from suffuse.trajectory.model.encoder import RoadEncoder
from suffuse.trajectory.model.relations import CANDIDATE_FEATURES, TOKEN_FEATURES

PREFIX = 3
"""Leading tokens of every sequence: destination, hour, origin."""

TOKEN_ABOUT_DESTINATION = (1, 2, 3, 4, 5, 6, 7, 9, 10, 11)
CANDIDATE_ABOUT_DESTINATION = (6, 7, *range(8, 20), 29, 30, 32, 33, 34, 37, 38, 39)
"""Features that are hidden when the condition is dropped, for classifier-free guidance."""

SLOWEST, FASTEST = 4.0, -2.5
"""Bounds of the predicted log of travel time over free-flow time."""


def visible(features: int, hidden: tuple[int, ...]) -> Float[Tensor, " f"]:
    """1 for each feature that is kept without a condition, 0 for each that is hidden."""
    keep = torch.ones(features)
    keep[list(hidden)] = 0
    return keep


def log_softmax_by_group(logits: Float[Tensor, " m"], group: Int[Tensor, " m"], groups: int) -> Float[Tensor, " m"]:
    """Log-probabilities of candidates, each normalised over the candidates of its own position."""
    top = torch.full((groups,), -torch.inf, dtype=logits.dtype).scatter_reduce(0, group, logits.detach(), "amax")
    shifted = logits - top[group]
    total = torch.zeros(groups, dtype=logits.dtype).index_add(0, group, shifted.exp())
    return shifted - total.log()[group]


class CandidateScorer(nn.Module):
    """Scores the few segments that may stand at a masked position: additive attention with relational features."""

    def __init__(self, width: int, road_width: int, hidden: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, hidden, bias=False)
        self.road = nn.Linear(road_width, hidden)
        self.relation = nn.Linear(CANDIDATE_FEATURES, hidden, bias=False)
        self.mix = nn.Linear(hidden, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)
        self.direct = nn.Linear(CANDIDATE_FEATURES, 1, bias=False)

    def forward(
        self,
        hidden: Float[Tensor, "q d"],
        roads: Float[Tensor, "s1 h"],
        segment: Int[Tensor, " m"],
        group: Int[Tensor, " m"],
        features: Float[Tensor, "m f"],
    ) -> Float[Tensor, " m"]:
        """Logits; `roads` is `self.road` of all road vectors, which stays the same for a city."""
        return self.combine(self.query(hidden)[group], roads[segment], features)

    def combine(
        self, query: Float[Tensor, "m h"], road: Float[Tensor, "m h"], features: Float[Tensor, "m f"]
    ) -> Float[Tensor, " m"]:
        """Logits of candidates from the projected hidden state and road vector of each."""
        mixed = F.silu(road + self.relation(features) + query)
        return (self.score(F.silu(self.mix(mixed))) + self.direct(features))[:, 0]


class TrajectoryModel(PretrainedModel):
    """A block-diffusion model of trips over any road network.

    Args:
        width, depth, heads: of the block transformer.
        road_width, road_depth, road_heads: of the road encoder.
        scorer_width: hidden channels of the candidate scorer.
        time_correlation: how alike the relative delays of neighbouring segments of a trip are, in [0, 1);
            measured after training, used when times are drawn.
    """

    @register_to_config
    def __init__(
        self,
        *,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        road_width: int = 64,
        road_depth: int = 2,
        road_heads: int = 4,
        scorer_width: int = 64,
        time_correlation: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = RoadEncoder(SEGMENT_FEATURES, TURN_FEATURES, road_width, road_depth, road_heads)
        self.token_road = nn.Linear(road_width, width, bias=False)
        self.token_relation = nn.Sequential(nn.Linear(TOKEN_FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.mask_token = nn.Parameter(0.5 * torch.randn(width))
        self.role = nn.Parameter(0.5 * torch.randn(PREFIX, width))
        self.destination_road = nn.Linear(road_width, width, bias=False)
        self.destination_relation = nn.Linear(TOKEN_FEATURES, width, bias=False)
        self.hour = nn.Linear(4, width, bias=False)
        self.no_condition = nn.Parameter(0.5 * torch.randn(2, width))
        self.transformer = BlockTransformer(width=width, depth=depth, heads=heads)
        self.scorer = CandidateScorer(width, road_width, scorer_width)
        self.time = nn.Linear(width, 2)
        nn.init.zeros_(self.time.weight)
        self.register_buffer("token_kept", visible(TOKEN_FEATURES, TOKEN_ABOUT_DESTINATION), persistent=False)
        self.register_buffer(
            "candidate_kept", visible(CANDIDATE_FEATURES, CANDIDATE_ABOUT_DESTINATION), persistent=False
        )

    def encode(self, city: CityFeatures) -> Float[Tensor, "s1 r"]:
        """Road vectors of all segments and of the end of a trip; the same for every trip in a city."""
        return self.encoder(city.segment_features, city.edge_index, city.edge_features)

    def embed(
        self,
        placed: Float[Tensor, "s1 d"],
        segment: Int[Tensor, "b k"],
        features: Float[Tensor, "b k f"],
        dropped: Bool[Tensor, " b"],
    ) -> Float[Tensor, "b k d"]:
        """Tokens of committed segments; features about the destination are hidden where the condition is `dropped`.

        `placed` is `self.token_road` of all road vectors, which stays the same for a city.
        """
        kept = torch.where(dropped[:, None, None], features * self.token_kept, features)
        return placed[segment] + self.token_relation(kept)

    def prefix(
        self,
        roads: Float[Tensor, "s1 r"],
        placed: Float[Tensor, "s1 d"],
        origin: Int[Tensor, " b"],
        origin_features: Float[Tensor, "b f"],
        destination: Int[Tensor, " b"],
        hour: Float[Tensor, " b"],
        dropped: Bool[Tensor, " b"],
    ) -> Float[Tensor, "b 3 d"]:
        """Leading tokens: where to, when, where from. `hour` is in [0, 24); `dropped` hides the first two.

        `placed` is that of `embed`.
        """
        angle = hour[:, None] * (2 * torch.pi / 24) * torch.tensor([1.0, 2.0])
        clock = self.hour(torch.cat([angle.sin(), angle.cos()], dim=1))
        target = self.destination_road(roads[destination]) + self.destination_relation(origin_features)
        condition = torch.where(dropped[:, None, None], self.no_condition, torch.stack([target, clock], dim=1))
        start = self.embed(placed, origin[:, None], origin_features[:, None], dropped)
        return torch.cat([condition, start], dim=1) + self.role

    def denoise(
        self,
        prefix: Float[Tensor, "b 3 d"],
        tokens: Float[Tensor, "b n d"],
        masked: Bool[Tensor, "b n"],
        mask: Bool[Tensor, "b 1 f f"],
    ) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "b n1 d"]]:
        """Training: one pass over [prefix | noisy | clean]. Returns hidden states: noisy, and origin + clean."""
        n = tokens.shape[1]
        noisy = torch.where(masked[..., None], self.mask_token, tokens)
        place = torch.arange(n) + PREFIX
        positions = torch.cat([torch.arange(PREFIX), place, place]).expand(len(tokens), -1)
        hidden = self.transformer(torch.cat([prefix, noisy, tokens], dim=1), positions, mask)
        return hidden[:, PREFIX : PREFIX + n], torch.cat(
            [hidden[:, PREFIX - 1 : PREFIX], hidden[:, PREFIX + n :]], dim=1
        )

    def score(
        self,
        hidden: Float[Tensor, "q d"],
        scored_roads: Float[Tensor, "s1 h"],
        segment: Int[Tensor, " m"],
        group: Int[Tensor, " m"],
        features: Float[Tensor, "m f"],
        dropped: Bool[Tensor, " m"] | None = None,
    ) -> Float[Tensor, " m"]:
        """Logits of candidates; `scored_roads` is `self.scorer.road(roads)`, `group` the masked position of each.

        Always in float32: detours of a few metres decide, and bfloat16 would round them away.
        """
        with torch.autocast(hidden.device.type, enabled=False):
            if dropped is not None:
                features = torch.where(dropped[:, None], features * self.candidate_kept, features)
            return self.scorer(hidden.float(), scored_roads.float(), segment, group, features)

    def travel_time(self, hidden: Float[Tensor, "... d"]) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
        """Mean and deviation of log(travel time / free-flow time) of clean tokens."""
        mean, spread = self.time(hidden).unbind(-1)
        return mean.clamp(FASTEST, SLOWEST), spread.clamp(-3.0, 1.0).exp()
