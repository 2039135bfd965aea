"""Writes docs/backbone/study-dit.md and study-unet.md: all methods at equal work on the models of the study.

    python benchmarks/backbone_study.py dit --json rows.json
    python benchmarks/backbone_study.py unet --json rows.json
    python benchmarks/backbone_study.py dit --rows rows.json more.json   # from rows that were measured before

Half an hour each on one idle core; threads are pinned to one. cache-dit is compared where it is installed.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from machine import describe  # type: ignore[import-not-found]

from suffuse.backbone_cli.study.benchmark import Row, benchmark, table
from suffuse.backbone_cli.study.finer import finer_methods
from suffuse.backbone_cli.study.methods import own_methods
from suffuse.backbone_cli.study.peers import peer_methods
from suffuse.backbone_cli.study.recipes import recipe
from suffuse.backbone_cli.study.scene import GUIDANCE
from suffuse.backbone_cli.study.shipped import load_judge, load_study

DOCS = Path(__file__).parents[1] / "docs/backbone"
BUDGETS = (0.3, 0.4, 0.6, 0.8)


def measured(study: str, count: int, seeds: list[int], budgets: list[float], out: Path | None) -> list[Row]:
    """All rows; `out` holds those that there are already, should this be stopped."""
    rows: list[Row] = []

    def keep(row: Row) -> None:
        rows.append(row)
        if out is not None:
            out.write_text(json.dumps([row.to_dict() for row in rows], indent=1) + "\n", encoding="utf-8")

    return benchmark(
        load_study(recipe(study)),
        load_judge(),
        [*peer_methods(), *own_methods(study), *finer_methods(study)],
        budgets=budgets,
        seeds=seeds,
        count=count,
        guidance=GUIDANCE,
        say=lambda line: print(line, file=sys.stderr, flush=True),
        keep=keep,
    )


def main() -> None:
    """Measure, or read rows, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=("dit", "unet"))
    parser.add_argument("-n", type=int, default=60, help="samples of a seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--budgets", type=float, nargs="+", default=list(BUDGETS))
    parser.add_argument("--json", type=Path, help="file to write the rows to, as they come")
    parser.add_argument("--rows", type=Path, nargs="+", help="JSON files of `--json` or `suffuse backbone benchmark`")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.rows:
        read = [Row(**row) for path in given.rows for row in json.loads(path.read_text())]
        rows = list({(row.method, row.budget, row.seed): row for row in read}.values())  # the last of each
    else:
        rows = measured(given.study, given.n, given.seeds, given.budgets, given.json)
    seeds = sorted({row.seed for row in rows})
    where = f"rows of `suffuse backbone benchmark --study {given.study}`" if given.rows else describe()
    about = (
        f"`python benchmarks/backbone_study.py {given.study} -n {rows[0].n} "
        f"--seeds {' '.join(map(str, seeds))}`: {rows[0].n} samples of each of {len(seeds)} seed(s), "
        f"guidance {GUIDANCE}, full = 30 Euler steps, PSNR to 200 steps from the same noise (± 95 % interval), "
        f"FD-fashion-cnn to the real test images, one thread; {where}. Best first.\n"
    )
    page = DOCS / f"study-{given.study}.md"
    page.write_text(f"# Study: {given.study}\n\n{about}\n{table(rows)}", encoding="utf-8")
    print(f"Written to {page}")


if __name__ == "__main__":
    main()
