"""Policies trained on the scripted experts of simulated arms, task by task, beside the experts themselves.

    python benchmarks/policy_arms.py --suite metaworld --directory runs/metaworld [--tasks reach,push,...]
        [--demonstrations 100] [--episodes 100] [--first-seed 100000] [--train-seed 0] [--disturb 0.0]
    python benchmarks/policy_arms.py --suite fetch --directory runs/fetch

For each task: demonstrations of the expert from seed 0 on, a policy by the suite's recipe, and evaluations with
the same seeds. What is in the directory already is not made again, so that a run can be ended and gone on with.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from machine import describe

from suffuse.policy import demonstrate, evaluate, read_demonstrations, recipe_by_name, train_policy
from suffuse.policy import write_demonstrations as write

SUITES = {
    "metaworld": (
        3,
        "reach,push,pick-place,door-open,drawer-open,button-press-topdown,window-open,assembly,stick-push,"
        "peg-insert-side",
    ),
    "fetch": (4, "reach,push,pick-and-place"),
}  # fmt: skip
"""By the name of recipe and ids: the version of the tasks, and those that are run."""


def id_of(suite: str, task: str) -> str:
    """The gymnasium id of a task."""
    return f"{suite}/{task}-v{SUITES[suite][0]}"


def make_policy(suite: str, task: str, directory: Path, demonstrations: int, seed: int, disturb: float) -> Path:
    """The demonstrations of a task and a policy trained on them, unless they are there; where the policy lies."""
    kind = f"{task}-disturbed-{disturb:g}" if disturb else task
    data, model = directory / f"{kind}.zarr", directory / f"{kind}-{seed}"
    if not data.exists():
        write(demonstrate(id_of(suite, task), demonstrations, disturbance=disturb), data)
    if not (model / "config.json").exists():
        began = time.process_time()
        train_policy(read_demonstrations(data), model, recipe_by_name(suite, seed=seed), resume=True)
        print(f"{task}: trained in {time.process_time() - began:.0f} s of CPU time", flush=True)
    return model


def measure(name: str, model: str, task: str, args: argparse.Namespace) -> dict[str, Any]:
    """The figures of a policy or the expert, from the directory where they are there already."""
    path = args.directory / f"{task}-{name}-{args.first_seed}-{args.episodes}.json"
    if not path.exists():
        env = id_of(args.suite, task)
        found = evaluate(model, env, episodes=args.episodes, first_seed=args.first_seed).to_dict()
        del found["outcomes"]
        path.write_text(json.dumps(found, indent=1) + "\n")
    return dict(json.loads(path.read_text()))


def share(result: dict[str, Any]) -> str:
    """A success rate with its interval."""
    low, high = result["ci95"]["success_rate"]
    return f"{100 * result['success_rate']:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def main() -> None:
    """Make, measure, print a line for each task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=list(SUITES), default="metaworld")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--tasks", help="by commas; all of the suite's that are run by default")
    parser.add_argument("--demonstrations", type=int, default=100)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=100_000)
    parser.add_argument("--train-seed", type=int, default=0)
    parser.add_argument("--disturb", type=float, default=0.0, help="of the expert, see `prepare`")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.directory.mkdir(parents=True, exist_ok=True)
    print(describe(), flush=True)
    lines = ["| task | policy | steps | ms a chunk | expert | steps |", "|---|---|---|---|---|---|"]
    for task in (args.tasks or SUITES[args.suite][1]).split(","):
        model = make_policy(args.suite, task, args.directory, args.demonstrations, args.train_seed, args.disturb)
        own = measure(f"policy-{model.name.removeprefix(f'{task}-')}", str(model), task, args)
        expert = measure("expert", "expert", task, args)
        lines.append(
            f"| {task} | {share(own)} | {own['mean_steps']:.0f} | {own['cpu_ms_per_chunk']:.1f} | {share(expert)} "
            f"| {expert['mean_steps']:.0f} |"
        )
        print(lines[-1], flush=True)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
