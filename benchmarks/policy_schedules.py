"""Which update steps keep a policy's chunks nearest to full ones: evenly spread, each part's own (BAC), or shared.

"Late steps by p": what is lost in step t of k counts ((t + 1) / k)^p.

    python benchmarks/policy_schedules.py [--model pusht] [--sampler ddpm] [--steps 100] [--budgets 0.25,0.2]
        [--episodes 16]

All schedules of a row leave the same share of the denoiser's work. They come from the similarities of `calibrate`,
measured in full chunks of simulated episodes; the error is that of chunks of other episodes, with the noise of the full
ones, in deviations of the actions.
"""

import argparse
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from machine import describe
from torch import Generator, Tensor

from suffuse.backbone import accelerate
from suffuse.backbone.shortcuts import BlockAdaptiveCache, Recorder, counted_late, schedule_updates, shared_updates
from suffuse.backbone.shortcuts.block_adaptive_cache import LATE
from suffuse.policy import DiffusionPolicy, load_policy, task_by_name
from suffuse.policy.shortcuts import moments_of, uniform

Moments = Mapping[str, Tensor]


def chunk(policy: DiffusionPolicy, moments: Moments, episode: int, *, pack: bool = True) -> Tensor:
    """Chunks of an episode's moments, always of the same noise."""
    seen = {name: values[episode] for name, values in moments.items()}
    own = [Generator().manual_seed(1000 * episode + row) for row in range(len(next(iter(seen.values()))))]
    return policy.sample(seen, own, pack=pack)


def error(
    policy: DiffusionPolicy, moments: Moments, updates: Mapping[str, Sequence[int]], full: dict[int, Tensor]
) -> float:
    """How far chunks with these updates are from full ones, in deviations of the actions, mean over episodes."""
    policy.use_shortcut(BlockAdaptiveCache(steps=policy.sampling_steps, updates=updates))
    scale = policy.action_normaliser.scale
    away = [
        float(((chunk(policy, moments, number) - one) / scale).square().mean().sqrt()) for number, one in full.items()
    ]
    policy.use_shortcut(None)
    return float(np.mean(away))


def main() -> None:
    """Print a line for each budget and schedule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pusht")
    parser.add_argument("--env", default="gym_pusht/PushT-v0")
    parser.add_argument("--sampler", default="ddpm")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--budgets", default="0.25,0.2")
    parser.add_argument("--episodes", type=int, default=16)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(describe())
    policy = load_policy(args.model)
    moments = moments_of(policy, task_by_name(args.env), episodes=2 * args.episodes)
    policy.use_sampler(args.sampler, args.steps)
    recorder = Recorder()
    with accelerate(policy.step, recorder, steps=args.steps):
        for number in range(args.episodes):
            chunk(policy, moments, number, pack=False)
    parts, whole = recorder.statistics()
    full = {number: chunk(policy, moments, number) for number in range(args.episodes, 2 * args.episodes)}
    print("| budget | schedule | share of the work | error |")
    print("|---|---|---|---|")
    for budget in map(float, args.budgets.split(",")):
        plans: dict[str, Mapping[str, Sequence[int]]] = {
            "spread evenly": uniform(policy, budget=budget).updates,
            "each part's own": schedule_updates(parts, whole, budget, bubbles=0)[0],
            "each part's own, bubbling union": schedule_updates(parts, whole, budget)[0],
            "shared": shared_updates(parts, whole, budget)[0],
        }
        for power in LATE[1:]:
            late = counted_late(parts, power)
            plans[f"each part's own, bubbling union, late steps by {power:g}"] = schedule_updates(late, whole, budget)[
                0
            ]
            plans[f"shared, late steps by {power:g}"] = shared_updates(late, whole, budget)[0]
        for name, updates in plans.items():
            left = sum(parts[part].flops * len(steps) for part, steps in updates.items())
            rest = whole - sum(part.flops for part in parts.values())
            share = (left + rest * args.steps) / (whole * args.steps)
            print(f"| {budget:g} | {name} | {share:.3f} | {error(policy, moments, updates, full):.3f} |", flush=True)


if __name__ == "__main__":
    main()
