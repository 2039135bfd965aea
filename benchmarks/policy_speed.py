"""How long a policy thinks: CPU time of a chunk for one robot, by sampler and number of steps, and its jitter.

    python benchmarks/policy_speed.py [--model pusht [--budget 0.2]] [--chunks 50]

Without a model, untrained networks of the sizes of the recipe and of the default (weights do not change how long it
takes). One thread, batch of one. The last column is what computing the network's view of observation and time at every
step, instead of once a chunk, would add.

With a model, a second table: 100 steps of DDPM in full and with block-wise adaptive caching, chunk by chunk in turn, so
that other work on the machine slows down both alike.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from machine import describe
from torch import Generator

from suffuse.policy import DiffusionPolicy, load_policy, task_by_name
from suffuse.policy.shortcuts import use_shortcut

PUSHT = {"agent_pos": [2], "environment_state": [16]}
RUNS = (("ddpm", 100), ("ddim", 10), ("ddim", 5), ("dpm", 10), ("dpm", 5))


def policies(model: str | None) -> dict[str, DiffusionPolicy]:
    """What is timed, by name."""
    if model is not None:
        return {model: load_policy(model)}
    shared = {"observations": PUSHT, "action_size": 2, "noise": {"prediction": "v_prediction", "clip": 5.0}}
    return {
        "transformer 6 x 192, horizon 10": DiffusionPolicy(
            horizon=10, denoiser={"width": 192, "depth": 6, "heads": 3}, **shared
        ).eval(),
        "transformer 8 x 256, horizon 16": DiffusionPolicy(**shared).eval(),
        "U-Net 256 512 1024, horizon 16": DiffusionPolicy(denoiser={"type": "unet"}, **shared).eval(),
    }


def milliseconds(call: Callable[[], object], repeats: int, *, warm: int = 2) -> np.ndarray:
    """CPU and wall milliseconds of each of `repeats` calls, after `warm` that are not counted."""
    spent = []
    for number in range(repeats + warm):
        cpu, wall = time.thread_time(), time.perf_counter()
        call()
        if number >= warm:
            spent.append((time.thread_time() - cpu, time.perf_counter() - wall))
    return np.array(spent) * 1000


@torch.inference_mode()
def constants(policy: DiffusionPolicy, seen: dict[str, np.ndarray], repeats: int) -> float:
    """CPU milliseconds a step of computing what does not change."""
    tensors = {name: torch.as_tensor(values[None], dtype=torch.float32) for name, values in seen.items()}
    one = torch.tensor([7])
    spent = milliseconds(
        lambda: (policy.network.observe(policy.encoder(tensors)), policy.network.embed_time(one)), repeats
    )
    return float(np.median(spent[:, 0]))


def in_turn(model: str, budget: float, chunks: int) -> None:
    """Print the table of DDPM with and without block-wise adaptive caching."""
    full, cached = load_policy(model), load_policy(model)
    for policy in (full, cached):
        policy.use_sampler("ddpm", 100)
    use_shortcut(cached, "bac", budget=budget, model=model, task=task_by_name(full.config["task"]))
    size = full.config["observation_steps"]
    seen = {key: np.zeros((size, *shape), dtype=np.float32) for key, shape in full.shapes.items()}
    spent = {policy: [] for policy in (full, cached)}
    for number in range(chunks):
        for policy, times in spent.items():
            draw = partial(policy.predict_action_chunk, seen, generators=[Generator().manual_seed(0)])
            times.append(milliseconds(draw, 1, warm=2 if number == 0 else 0)[0])
    print("\n| DDPM, 100 steps | CPU ms a chunk | wall p50 | wall p99 | p99/p50 | CPU time, times less |")
    print("|---|---|---|---|---|---|")
    whole = float(np.median(np.array(spent[full])[:, 0]))
    for policy, name in ((full, "in full"), (cached, f"BAC, budget {budget:g}")):
        cpu, wall = np.array(spent[policy]).T
        middle, last = np.quantile(wall, [0.5, 0.99])
        least = float(np.median(cpu))
        print(f"| {name} | {least:.1f} | {middle:.1f} | {last:.1f} | {last / middle:.2f} | {whole / least:.1f} |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--budget", type=float, default=0.2)
    parser.add_argument("--chunks", type=int, default=50)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(describe())
    print("| policy | sampler | steps | CPU ms a chunk | wall p50 | wall p99 | p99/p50 | constants again, ms |")
    print("|---|---|---|---|---|---|---|---|")
    for name, policy in policies(args.model).items():
        size = policy.config["observation_steps"]
        seen = {key: np.zeros((size, *shape), dtype=np.float32) for key, shape in policy.shapes.items()}
        again = constants(policy, seen, args.chunks)
        for sampler, steps in RUNS:
            policy.use_sampler(sampler, steps)
            draw = partial(policy.predict_action_chunk, seen, generators=[Generator().manual_seed(0)])
            spent = milliseconds(draw, max(3, args.chunks // max(1, steps // 10)))
            middle, last = np.quantile(spent[:, 1], [0.5, 0.99])
            print(
                f"| {name} | {sampler} | {steps} | {np.median(spent[:, 0]):.1f} | {middle:.1f} | {last:.1f} "
                f"| {last / middle:.2f} | {again * (steps - 1):.1f} |",
                flush=True,
            )
    if args.model is not None:
        in_turn(args.model, args.budget, args.chunks)


if __name__ == "__main__":
    main()
