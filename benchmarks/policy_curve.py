"""Success against CPU time per chunk: samplers, their numbers of steps, shortcuts, and the baselines beside them.

    python benchmarks/policy_curve.py --model pusht [--baseline my-bc-model] [--episodes 100] [--first-seed 100000]
        [--points ddpm:100,ddim:10,ddpm:100:bac:0.2] [--json curve.json] [--figure curve.png]

Each point is an evaluation with the same seeds; a point is `sampler:steps`, or `sampler:steps:shortcut:budget`. CPU
time is that of one robot's chunk on one thread. With --json, points that are in the file already are not measured
again, so that a run can be ended and gone on with; `suffuse-policy show curve` draws the file too.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from machine import describe

from suffuse.policy import evaluate
from suffuse.policy.show import plot_curve
from suffuse.policy.show.curve import point as curve_point

ENV = "gym_pusht/PushT-v0"
POINTS = (
    "ddpm:100", "ddpm:50", "ddim:20", "ddim:10", "ddim:5", "ddim:3", "ddim:2", "dpm:10", "dpm:5", "dpm:3",
    *(f"ddpm:100:{shortcut}:{budget}" for shortcut in ("bac", "uniform") for budget in (0.25, 0.2, 0.15, 0.1)),
    "ddim:10:bac:0.6", "ddim:10:uniform:0.6", "dpm:10:bac:0.6", "dpm:10:uniform:0.6",
)  # fmt: skip


def measure(model: str, point: str, episodes: int, first_seed: int) -> dict[str, Any]:
    """The figures of one point: sampler:steps, or sampler:steps:shortcut:budget; `own` is the model's way."""
    settings: dict[str, Any] = {}
    if point != "own":
        parts = point.split(":")
        settings = {"sampler": parts[0], "steps": int(parts[1])}
        if len(parts) == 4:
            settings |= {"shortcut": parts[2], "budget": float(parts[3])}
    result = evaluate(model, ENV, episodes=episodes, first_seed=first_seed, **settings).to_dict()
    del result["outcomes"]
    return result


def row(name: str, result: dict[str, Any]) -> str:
    """A line of the table."""
    success, reward = result["ci95"]["success_rate"], result["ci95"]["mean_max_reward"]
    time = "" if result["cpu_ms_per_chunk"] is None else f"{result['cpu_ms_per_chunk']:.1f}"
    return (
        f"| {name} | {time} | {100 * result['success_rate']:.0f} % ({100 * success[0]:.0f} to {100 * success[1]:.0f}) "
        f"| {result['mean_max_reward']:.3f} ({reward[0]:.3f} to {reward[1]:.3f}) | {result['episodes']} |"
    )


def main() -> None:
    """Measure, print a line for each point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pusht")
    parser.add_argument("--baseline", help="a model trained by the recipe pusht-bc")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=100_000)
    parser.add_argument("--points", default=",".join(POINTS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(describe())
    print("| | CPU ms a chunk | success (95 % interval) | mean max reward (95 % interval) | episodes |")
    print("|---|---|---|---|---|")
    kept = json.loads(args.json.read_text()) if args.json and args.json.is_file() else {}
    jobs = [(point, args.model, point) for point in args.points.split(",") if point]
    jobs += [("behaviour cloning", args.baseline, "own")] if args.baseline else []
    jobs += [("planner", "planner", "own"), ("random", "random", "own")]
    for name, model, point in jobs:
        key = f"{name} {model} {args.episodes} {args.first_seed}"
        if key not in kept:
            kept[key] = measure(model, point, args.episodes, args.first_seed)
            if model == args.baseline:
                kept[key]["model"] = name
            if args.json:
                args.json.write_text(json.dumps(kept, indent=1) + "\n")
        print(row(name, kept[key]), flush=True)
    if args.figure:
        keys = [f"{name} {model} {args.episodes} {args.first_seed}" for name, model, _ in jobs]
        plot_curve([curve_point(kept[key]) for key in keys], args.figure, title="PushT from keypoints, held-out seeds")


if __name__ == "__main__":
    main()
