"""Writes docs/backbone/study-dit.md and study-unet.md: all methods at equal work on the models of the study.

    python benchmarks/backbone_study.py dit
    python benchmarks/backbone_study.py unet
    python benchmarks/backbone_study.py dit --rows rows.json   # from rows that were measured before

Half an hour each on one idle core; threads are pinned to one. cache-dit is compared where it is installed.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from machine import describe  # type: ignore[import-not-found]

from suffuse.backbone_cli.study.benchmark import Row, benchmark, table
from suffuse.backbone_cli.study.methods import own_methods
from suffuse.backbone_cli.study.peers import peer_methods
from suffuse.backbone_cli.study.recipes import recipe
from suffuse.backbone_cli.study.scene import GUIDANCE
from suffuse.backbone_cli.study.shipped import load_judge, load_study

DOCS = Path(__file__).parents[1] / "docs/backbone"
BUDGETS = (0.3, 0.4, 0.6, 0.8)


def measured(study: str, count: int, seeds: int) -> list[Row]:
    """All rows."""
    return benchmark(
        load_study(recipe(study)),
        load_judge(),
        [*peer_methods(), *own_methods(study)],
        budgets=BUDGETS,
        seeds=range(seeds),
        count=count,
        guidance=GUIDANCE,
        say=lambda line: print(line, file=sys.stderr),
    )


def main() -> None:
    """Measure, or read rows, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=("dit", "unet"))
    parser.add_argument("-n", type=int, default=60, help="samples of a seed")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rows", type=Path, nargs="*", help="JSON files of `suffuse backbone benchmark`")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.rows:
        rows = [Row(**row) for path in given.rows for row in json.loads(path.read_text())]
    else:
        rows = measured(given.study, given.n, given.seeds)
    seeds = sorted({row.seed for row in rows})
    where = f"rows of `suffuse backbone benchmark --study {given.study}`" if given.rows else describe()
    about = (
        f"`python benchmarks/backbone_study.py {given.study} -n {rows[0].n} "
        f"--seeds {len(seeds)}`: {rows[0].n} samples of each of {len(seeds)} seed(s), "
        f"guidance {GUIDANCE}, full = 30 Euler steps, PSNR to 200 steps from the same noise (± 95 % interval), "
        f"FD-fashion-cnn to the real test images, one thread; {where}. Best first.\n"
    )
    page = DOCS / f"study-{given.study}.md"
    page.write_text(f"# Study: {given.study}\n\n{about}\n{table(rows)}", encoding="utf-8")
    print(f"Written to {page}")


if __name__ == "__main__":
    main()
