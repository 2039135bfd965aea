"""Pictures of a policy at work: episodes side by side, how a chunk is denoised, success against CPU time."""

from suffuse.policy.show.curve import CurvePoint, plot_curve, read_points
from suffuse.policy.show.denoising import ChunkStory, plot_chunk, watch_chunk
from suffuse.policy.show.episodes import Film, film, plot_episodes

__all__ = [
    "ChunkStory",
    "CurvePoint",
    "Film",
    "film",
    "plot_chunk",
    "plot_curve",
    "plot_episodes",
    "read_points",
    "watch_chunk",
]
