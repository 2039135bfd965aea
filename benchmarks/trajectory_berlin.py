"""From raw GPS to generated trips, on real taxis in Berlin: traces, match, train, generate, evaluate.

    python benchmarks/trajectory_berlin.py --out DIR [--steps 300] [--batch 64] [--only prepare|match|train|score]

DIR is filled with what each step leaves: the city folder, matched trips and the report of the matching, the parts that
share no pair of origin and destination cells, the model, and the table. The steps are the commands of
docs/trajectory/berlin.md; the first, which turns the data set's own tables into a city folder, is the only code here.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyproj
from machine import DATA, begin

from suffuse.trajectory import load_city, read_trips, write_trips
from suffuse.trajectory.trips.split import split_by_od_cell

CRS = "EPSG:32633"
"""UTM zone 33 north, which the data set is in."""

STEPS = ("prepare", "match", "split", "train", "generate", "evaluate")


def city_tables(data: Path, folder: Path) -> None:
    """`nodes.csv` and `edges.csv` with a row a direction, from the data set's nodes (metres) and undirected links."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes = pd.read_csv(data / "berlin_nodes.csv.gz")
    links = pd.read_csv(data / "berlin_edges.csv.gz")
    lon, lat = pyproj.Transformer.from_crs(CRS, "EPSG:4326", always_xy=True).transform(nodes["x"], nodes["y"])
    pd.DataFrame({"node_id": nodes["node"], "lon": np.round(lon, 7), "lat": np.round(lat, 7)}).to_csv(
        folder / "nodes.csv", index=False
    )
    back = links[links["flag"] == 1].rename(columns={"u": "v", "v": "u"})
    both = pd.concat([links, back])[["u", "v"]].drop_duplicates(ignore_index=True)
    both.to_csv(folder / "edges.csv", index_label="edge_id")


def split(city_folder: Path, matched: Path, out: Path) -> None:
    """Write `train.csv`, `val.csv` and `test.csv`, which share no pair of 500 m cells."""
    city = load_city(city_folder)
    trips = read_trips(matched, city)
    for part, rows in split_by_od_cell(city, trips).items():
        write_trips(trips.take(rows), city, out / f"{part}.csv")
        print(f"{part}: {len(rows):,} trips")


def main() -> None:
    """Run the steps, or one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA / "berlin_taxi")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--only", choices=STEPS)
    args = parser.parse_args()
    begin(args.data, "Berlin trips")
    out, city = args.out, args.out / "berlin"
    out.mkdir(parents=True, exist_ok=True)

    def verb(*words: object) -> None:
        if code := subprocess.run(
            [sys.executable, "-m", "suffuse.trajectory", *map(str, words)], check=False
        ).returncode:
            sys.exit(code)

    steps = {
        "prepare": lambda: (
            city_tables(args.data, out / "tables"),
            verb("prepare", "berlin", "--source", out / "tables", "--out", city),
        ),
        "match": lambda: verb(
            "match", args.data / "berlin_gps.csv.gz", "--crs", CRS, "--city", city, "--cut",
            "--out", city / "trips.parquet", "--report", out / "matched.json",
        ),
        "split": lambda: split(city, city / "trips.parquet", city),
        "train": lambda: verb(
            "train", "--city", city, "--out", out / "model", "--steps", args.steps, "--batch", args.batch,
            "--threads", 1, "--resume",
        ),
        "generate": lambda: verb(
            "generate", "--city", city, "--model", out / "model", "--od", city / "test.csv", "--out",
            out / "generated.csv", "--workers", 1,
        ),
        "evaluate": lambda: verb(
            "evaluate", "--city", city, "--real", city / "test.csv", "--generated", out / "generated.csv",
            "--json", out / "table.json",
        ),
    }  # fmt: skip
    for name in STEPS if args.only is None else [args.only]:
        steps[name]()


if __name__ == "__main__":
    main()
