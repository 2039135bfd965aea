"""The road encoder: what a street is like, from its own features and those of the streets around it.

Graph attention over legal transitions, in both directions of travel. It reads features only: there is no table with a
row a segment, so that the encoder carries to any other city.

Dimensions: s segments, t transitions, f static features, r channels of a road.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GATv2Conv


class RoadLayer(nn.Module):
    """Residual layer: attention (GATv2, Brody et al. 2022) to the streets ahead and to those behind."""

    def __init__(self, width: int, heads: int, edge_features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.ahead = GATv2Conv(width, width // heads, heads=heads, edge_dim=edge_features, add_self_loops=False)
        self.behind = GATv2Conv(width, width // heads, heads=heads, edge_dim=edge_features, add_self_loops=False)

    def forward(
        self, x: Float[Tensor, "s r"], edges: Int[Tensor, "2 t"], features: Float[Tensor, "t e"]
    ) -> Float[Tensor, "s r"]:
        """One round of messages."""
        normed = self.norm(x)
        return x + F.silu(self.behind(normed, edges, features) + self.ahead(normed, edges.flip(0), features))


class RoadEncoder(nn.Module):
    """Static features of all segments to one vector each, and one more for the end of a trip (row s)."""

    def __init__(self, features: int, edge_features: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"road width ({width}) must be a multiple of road heads ({heads})")
        self.embed = nn.Linear(features, width)
        self.layers = nn.ModuleList(RoadLayer(width, heads, edge_features) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.end = nn.Parameter(torch.randn(1, width))

    def forward(
        self, segments: Float[Tensor, "s f"], edges: Int[Tensor, "2 t"], features: Float[Tensor, "t e"]
    ) -> Float[Tensor, "s+1 r"]:
        """Road vectors from static features, transitions and the features of transitions."""
        x = self.embed(segments)
        for layer in self.layers:
            x = layer(x, edges, features)
        return torch.cat([self.norm(x), self.end])
