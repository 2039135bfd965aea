"""Values that an option does not take are named with the option and what it takes."""

from collections.abc import Callable
from typing import Any

import pytest

from suffuse.trajectory.od import parse_depart

GENERATE = ("generate", "--city", "grid", "--model", "dijkstra", "--out", "new.geojson")
TRAIN = ("train", "--city", "grid", "--trips", "trips.csv", "--out", "new")
EVALUATE = ("evaluate", "--city", "grid", "--generated", "trips.csv", "--real", "trips.geojson")
SIMULATE = ("simulate", "--city", "grid", "--out", "new.csv")
SHOW = ("show", "trips.csv", "--city", "grid", "--out", "new.html")
HUGE = "9" * 30

REFUSED = [
    *[
        (
            GENERATE,
            f"{option} {value}",
            f"Invalid value for '{option}': '{value}' is no whole number from {low} to {high}",
        )
        for option, low, high in (
            ("-n", "1", "100,000,000"),
            ("--blocks", "1", "64"),
            ("--steps", "1", "1,000"),
            ("--best-of", "1", "9,999"),
            ("--seed", "0", "9,223,372,036,854,775,807"),
            ("--batch-size", "1", "100,000,000"),
            ("--threads", "1", "1,024"),
            ("--workers", "1", "1,024"),
        )
        for value in ("-5", "x", "1.5", "nan", HUGE)
    ],
    *[
        (GENERATE, f"{option} {value}", f"Invalid value for '{option}': '{value}' is no number from {allowed}")
        for option, allowed in (
            ("--threshold", "0 to 1, 0 excluded"),
            ("--least", "0 to 1, 1 excluded"),
            ("--guidance", "0 to 100"),
            ("--temperature", "0 to 100"),
        )
        for value in ("nan", "inf", "-1", "x", "1e308")
    ],
    (GENERATE, "--threshold 0", "'0' is no number from 0 to 1, 0 excluded"),
    (GENERATE, "--least 1", "'1' is no number from 0 to 1, 1 excluded"),
    (GENERATE, "--decoding x", "--decoding is 'x', but must be confidence or dcd"),
    (GENERATE, "--order x", "--order is 'x', but must be left or confidence"),
    *[
        (GENERATE, option, f"{option.split()[0]} is for trained models, but --model dijkstra is a baseline")
        for option in ("--temperature 1", "--route-choice 0", "--spread 0", "--decoding dcd", "--blocks 4")
    ],
    (GENERATE, "--on-error x", "--on-error is 'x', but must be fail or skip"),
    (GENERATE, "--depart 25:00", "departure '25:00' is neither a time of day such as 08:00 nor an ISO 8601 date"),
    (GENERATE, "--depart noon", "departure 'noon' is neither a time of day"),
    (GENERATE, "--depart 0001-01-01T00:00+14:00", "is neither a time of day"),
    (GENERATE, "--depart 9999-12-31T23:59", "is not between 1970-01-01T00:00:00 and 2099-12-31T23:59:59"),
    (GENERATE, "--close 99", "--close: segment '99' is not in road network 'grid'"),
    (GENERATE, "--close 100,\u00b2", "--close: segment '\u00b2' is not in road network 'grid'"),
    (GENERATE, "--close --5", "--close: segment '--5' is not"),
    (GENERATE, f"--close {'9' * 5000}", "999... is not in road network 'grid'"),
    (GENERATE, "--city nowhere", "nowhere: no such city, folder or file; cities: la-serena"),
    (GENERATE, f"--city {'x' * 5000}", "File name too long"),
    (
        GENERATE,
        "--model nowhere",
        "there is no model 'nowhere': it must be a model directory or one of base, la-serena, dijkstra, ",
    ),
    (GENERATE, f"--model {'x' * 5000}", "File name too long"),
    (GENERATE, "--model grid", "grid is not a model directory: it has no config.json"),
    (GENERATE, "--model trips.csv", "there is no model 'trips.csv'"),
    (GENERATE, "--model markov --city roads.geojson --close 1", "segment '1' is not in road network"),
    (GENERATE, "--nonsense", "No such option: --nonsense"),
    (GENERATE, "surplus", "surplus"),
    (TRAIN, "--steps 0", "'0' is no whole number from 1 to 100,000,000"),
    (TRAIN, "--batch 0", "'0' is no whole number from 1 to 100,000"),
    (TRAIN, "--count -3", "'-3' is no whole number from 1"),
    (TRAIN, "--recipe huge", "--recipe is 'huge', but must be one of la-serena, city, transfer, tiny"),
    (TRAIN, "--model x", "--model is 'x', but must be one of trajdlm, dijkstra"),
    (TRAIN, "--on-error x", "--on-error is 'x', but must be fail or skip"),
    (EVALUATE, "--baselines x", "--baselines: 'x' is none of dijkstra"),
    (EVALUATE, "--pairing x", "--pairing is 'x', but must be segments or cells"),
    (EVALUATE, "--on-error x", "--on-error is 'x'"),
    (EVALUATE, "--seed -1", "'-1' is no whole number from 0"),
    (SIMULATE, "-n 0", "'0' is no whole number from 1"),
    (SIMULATE, "--part x", "--part is 'x', but must be one of train, val, test"),
    (SIMULATE, "--close 100", "--close needs --again"),
    (SIMULATE, "--again trips.csv --close 1", "--close: segment '1' is not in road network"),
    (SHOW, "--on-error x", "--on-error is 'x'"),
]


@pytest.mark.parametrize(
    ("verb", "options", "said"), REFUSED, ids=[f"{verb[0]} {options[:40]}" for verb, options, _ in REFUSED]
)
def test_values_out_of_range_are_named(
    refusal: Callable[..., str], verb: tuple[str, ...], options: str, said: str
) -> None:
    assert said in refusal(*verb, *options.split(" "))


@pytest.mark.parametrize("option", ["--city", "--model"])
def test_an_empty_name_is_no_folder(refusal: Callable[..., str], option: str) -> None:
    assert "la-serena" in refusal(*GENERATE, option, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("generate", "Missing option '--out' (see "),
        ("generate --out", "'--out' requires an argument"),
        ("nonsense", "No such command 'nonsense'"),
        ("--nonsense generate", "No such option: --nonsense"),
        ("prepare", "Missing argument"),
        ("prepare a/b", "city name 'a/b' must be letters, digits"),
        ("prepare mine", "city 'mine' is none of la-serena, coquimbo-8km, coquimbo-full, so a road file"),
        ("show", "Missing argument"),
        ("evaluate --city grid --generated trips.csv", "grid has no simulated trips: give real ones as --real FILE"),
        ("train --city roads.geojson --out new", "give them as --trips FILE"),
        ("train --city grid --out new", "grid: holds no trips; they are looked for as matched.parquet"),
    ],
)
def test_incomplete_commands_are_refused(refusal: Callable[..., str], arguments: str, said: str) -> None:
    assert said in refusal(*arguments.split())


def test_the_help_is_no_error(command: Callable[..., Any]) -> None:
    for verb in ("generate", "evaluate", "train", "prepare", "roads", "show", "info", "simulate"):
        said = command(verb, "--help")
        assert said.code == 0
        assert "Usage" in said.stdout
    assert "generate" in command().stdout + command("--help").stdout


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("08:00", "2024-03-04T08:00:00"),
        ("8:05", "2024-03-04T08:05:00"),
        (" 23:59:58 ", "2024-03-04T23:59:58"),
        ("2024-05-06T07:08:09+02:00", "2024-05-06T05:08:09"),
        ("1970-01-01", "1970-01-01T00:00:00"),
    ],
)
def test_departures(text: str, moment: str) -> None:
    assert str(parse_depart(text, "here")) == moment
