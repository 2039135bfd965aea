"""Many robots at one server: deadlines, latency and batches under load.

    python benchmarks/policy_serve.py [--model pusht] [--clients 32] [--seconds 30] [--hz 10]

The server is a process of its own, `suffuse-policy serve` as users start it, with one thread. The robots are threads of
this process: each acts at the given rate, which is when its action has to be there, on observations that move as in an
episode. A step whose action comes later than the next step is due is a missed deadline.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from machine import describe

from suffuse.policy import task_by_name
from suffuse.policy.environments.task import Episode
from suffuse.policy.serve import PolicyClient


def observations(count: int) -> list[dict[str, np.ndarray]]:
    """What is seen on a way through the arena."""
    task = task_by_name("gym_pusht/PushT-v0")
    environment = task.make()
    episode, seen = Episode(task, environment, 90_000), []
    for number in range(count):
        seen.append(dict(episode.observation))
        turn = 0.1 * number
        episode.step(np.float32([256 + 150 * np.cos(turn), 256 + 150 * np.sin(turn)]))
    environment.close()
    return seen


def robot(
    address: str, seen: list[dict[str, np.ndarray]], *, number: int, clients: int, hz: float, until: float,
    late: list[float], chunks: list[float],
) -> None:  # fmt: skip
    """Acts until the end; notes by how many milliseconds its actions came after they were asked for, and of chunks."""
    period = 1 / hz
    with PolicyClient(address, period_s=period, deadline_s=1.0) as client:
        client.reset(seed=number)
        client.act(seen[0])
        due = time.monotonic() + period * (1 + number / clients)  # robots do not beat together
        step = 1
        while due < until:
            time.sleep(max(0.0, due - time.monotonic()))
            client.act(seen[step % len(seen)])
            late.append((time.monotonic() - due) * 1000)
            due += period
            step += 1
        chunks.extend(one.total_ms for one in client.latencies[1:])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pusht")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--hz", type=float, default=10.0)
    parser.add_argument("--port", type=int, default=50071)
    args = parser.parse_args()
    print(describe())
    address, seen = f"127.0.0.1:{args.port}", observations(200)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.jsonl"
        command = [sys.executable, "-m", "suffuse.policy", "serve", "--model", args.model, "--address", address]
        server = subprocess.Popen([*command, "--threads", "1", "--trace", str(trace)])
        try:
            with PolicyClient(address, patience_s=120) as client:
                client.describe()
                for _ in range(3):
                    client.act(seen[0])
            late: list[list[float]] = [[] for _ in range(args.clients)]
            chunks: list[list[float]] = [[] for _ in range(args.clients)]
            until = time.monotonic() + args.seconds
            robots = [
                threading.Thread(
                    target=robot, args=(address, seen),
                    kwargs={
                        "number": number, "clients": args.clients, "hz": args.hz, "until": until,
                        "late": late[number], "chunks": chunks[number],
                    },
                )
                for number in range(args.clients)
            ]  # fmt: skip
            for one in robots:
                one.start()
            for one in robots:
                one.join()
        finally:
            server.terminate()
            server.wait()
        lines = [json.loads(line) for line in trace.read_text().splitlines()]
    steps, drawn = np.concatenate(late), np.concatenate(chunks)
    batches = [line["batch"] for line in lines if line["ended"] == "answered"]
    missed = int((steps > 1000 / args.hz).sum())
    print("| robots | rate | steps | missed deadlines | action p50, p99 ms | chunk p50, p99 ms | chunks at once |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {args.clients} | {args.hz:g} Hz | {len(steps):,} | {missed} "
        f"| {np.quantile(steps, 0.5):.1f}, {np.quantile(steps, 0.99):.1f} "
        f"| {np.quantile(drawn, 0.5):.0f}, {np.quantile(drawn, 0.99):.0f} | {np.mean(batches):.1f} |"
    )


if __name__ == "__main__":
    main()
