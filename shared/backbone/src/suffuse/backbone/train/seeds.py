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


def seed_global_generators(seed: int, *, device: torch.device) -> None:
    """Seed the global generators of python, numpy and torch (CPU and `device`): dropout and libraries draw from them.

    `torch.manual_seed` would seed every backend there could be, at half a millisecond a call where there is none.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the legacy generator is seeded because other code may use it
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def loss_generator(seed: int, *, device: torch.device) -> torch.Generator:
    """A generator on `device` for the random numbers that a loss draws itself."""
    return torch.Generator(device=device).manual_seed(seed)
