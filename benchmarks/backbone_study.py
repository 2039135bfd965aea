"""Writes the tables of docs/backbone/study-dit.md and study-unet.md: all methods at equal work on the study's models.

    python benchmarks/backbone_study.py dit
    python benchmarks/backbone_study.py unet --budgets 0.3 0.4 0.5 0.6 0.8
    python benchmarks/backbone_study.py dit -n 600 --seeds 2 --section many --methods fewer forecast TaylorSeer
    python benchmarks/backbone_study.py dit --rows rows.json more.json   # from rows that were measured before

An hour of one idle core for the transformer; threads are pinned to one. Stopped, the same command goes on where it was.
cache-dit is compared where it is installed. Only what stands between the two markers of a page (of the section named)
is replaced.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from machine import describe  # type: ignore[import-not-found]

from suffuse.backbone_cli.study.comparison import compare_on_study
from suffuse.backbone_cli.study.rows import Row, table
from suffuse.backbone_cli.study.scene import GUIDANCE, STEPS, TRUTH_STEPS
from suffuse.console import check_writable

DOCS = Path(__file__).parents[1] / "docs/backbone"
BEGIN, END = "<!-- figures{}: written by benchmarks/backbone_study.py -->", "<!-- end of figures{} -->"


def main() -> None:
    """Measure, or read rows, and write the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=("dit", "unet"))
    parser.add_argument("-n", type=int, default=100, help="samples of a seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.3, 0.4, 0.6, 0.8])
    parser.add_argument("--methods", nargs="+", help="only methods whose names hold one of these words")
    parser.add_argument("--json", type=Path, help="file to write the rows to (default: study-STUDY.json beside this)")
    parser.add_argument("--section", default="", help="markers that name it are written between")
    parser.add_argument("--rows", type=Path, nargs="+", help="JSON files of `--json` or `suffuse backbone benchmark`")
    given = parser.parse_args()
    torch.set_num_threads(1)
    page, out = DOCS / f"study-{given.study}.md", given.json or Path(f"study-{given.study}.json")
    check_writable(page)
    begin, end = (marker.format(given.section and f" {given.section}") for marker in (BEGIN, END))
    around(page, begin, end)
    if given.rows:
        read = [Row(**row) for path in given.rows for row in json.loads(path.read_text(encoding="utf-8"))]
        rows = list({row.key: row for row in read}.values())  # the last of each
    else:
        check_writable(out)
        rows = compare_on_study(
            given.study,
            budgets=given.budgets,
            seeds=given.seeds,
            count=given.n,
            words=given.methods,
            out=out,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
    seeds = sorted({row.seed for row in rows})
    counts = "/".join(str(count) for count in sorted({row.n for row in rows}))
    where = "rows measured before" if given.rows else describe()
    words = "".join(f" {word}" for word in given.methods or ())
    only = (f" --section {given.section}" if given.section else "") + (f" --methods{words}" if words else "")
    about = (
        f"`python benchmarks/backbone_study.py {given.study} -n {counts} --seeds {' '.join(map(str, seeds))}{only}`; "
        f"{where}. Each row is the mean over {len(seeds)} seed(s) of {counts} samples, guidance {GUIDANCE}. "
        f"Full = {STEPS} Euler steps; PSNR is to {TRUTH_STEPS} steps from the same noise; FD-fashion-cnn is to the "
        f"10,000 real test images. FD over full is paired, from the same noise (jackknife). ± is half a 95 % interval."
    )
    before, after = around(page, begin, end)  # again: notes may have been written meanwhile
    text = f"{before}{begin}\n\n{about}\n\n{table(rows)}\n{end}{after}"
    page.write_text(text, encoding="utf-8")
    print(f"Written to {page}")


def around(page: Path, begin: str, end: str) -> tuple[str, str]:
    """What stands before and after the figures of a page; nothing else in it is written over."""
    text = page.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
        raise SystemExit(f"{page} must hold, once each and in this order, {begin} and {end}")
    before, rest = text.split(begin)
    return before, rest.split(end)[1]


if __name__ == "__main__":
    main()
