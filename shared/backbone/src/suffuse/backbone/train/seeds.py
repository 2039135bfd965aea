"""Every random number of a run comes from (seed, step, rank): a resumed run has no generator state to restore."""

import random
from enum import IntEnum

import numpy as np
import torch


class Stream(IntEnum):
    """What the random numbers of one step are for."""

    BATCH = 0
    LOSS = 1
    LOSS_GENERATOR = 2
    EVALUATION = 3


def derive_seed(seed: int, *, step: int, rank: int, stream: Stream) -> int:
    """A 64-bit seed that differs between steps, ranks and streams (numpy's SeedSequence hash)."""
    return int(np.random.SeedSequence([seed, step, rank, stream]).generate_state(1, np.uint64)[0])


def seed_global_generators(seed: int) -> None:
    """Seed the global generators of python, numpy and torch (all devices): dropout and library code draw from them."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the legacy generator is seeded because other code may use it
    torch.manual_seed(seed)


def loss_generator(seed: int, *, device: torch.device) -> torch.Generator:
    """A generator on `device` for the random numbers that a loss draws itself."""
    return torch.Generator(device=device).manual_seed(seed)
