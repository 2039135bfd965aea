"""How many threads this process computes with."""

import torch


def use_threads(threads: int | None) -> None:
    """Pin the number of threads of this process, if one was asked for."""
    if threads is not None:
        torch.set_num_threads(threads)
