"""Random numbers depend on (seed, step, rank, stream) and on nothing else."""

import itertools
import random

import numpy as np
import torch

from suffuse.backbone.train.seeds import Stream, derive_seed, loss_generator, seed_global_generators


def test_seeds_of_neighbours_differ() -> None:
    places = list(itertools.product(range(3), range(20), range(3), Stream))
    seeds = {derive_seed(seed, step=step, rank=rank, stream=stream) for seed, step, rank, stream in places}
    assert len(seeds) == len(places)
    assert all(0 <= seed < 2**64 for seed in seeds)


def test_global_generators_repeat() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

    python, numpy, pytorch = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        seed_global_generators(2**64 - 1, device=torch.device("cpu"))
        first = draw()
        draw()
        seed_global_generators(2**64 - 1, device=torch.device("cpu"))
        assert draw() == first
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(pytorch)


def test_loss_generator_repeats() -> None:
    first, second = (loss_generator(2**63 + 5, device=torch.device("cpu")) for _ in range(2))
    assert torch.equal(torch.rand(4, generator=first), torch.rand(4, generator=second))
