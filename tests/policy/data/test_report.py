"""Every finding, on demonstrations that have just that fault."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from suffuse.policy.data import Demonstrations, examine


def findings(demonstrations: Demonstrations) -> list[str]:
    return [f"{finding.severity}: {finding.text}" for finding in examine(demonstrations).findings]


def changed(demonstrations: Demonstrations, name: str, rows: slice | int, value: float) -> Demonstrations:
    values = demonstrations.columns[name].copy()
    values[rows] = value
    return demonstrations.with_columns(**{name: values})


def test_sound_demonstrations(make: Callable[..., Demonstrations]) -> None:
    report = examine(make())
    assert report.sound
    assert report.findings == ()
    assert (report.episodes, report.rows, report.shortest, report.median, report.longest) == (3, 21, 5, 7.0, 9)
    assert report.seconds == pytest.approx(2.1)
    assert report.splits == {"train": 2, "valid": 1}
    assert report.tasks == ("task 0", "task 1")
    action = next(column for column in report.columns if column.name == "action")
    values = make().columns["action"]
    assert (action.low, action.high) == (values.min(), values.max())
    assert report.to_dict()["sound"] is True
    assert report.env_name == ""
    assert examine(replace(make(), environment={"env_name": "Lift"})).env_name == "Lift"


def test_values_that_are_not_finite(make: Callable[..., Demonstrations]) -> None:
    bad = changed(changed(make(), "state", 6, np.nan), "state", 20, np.inf)
    assert findings(bad) == ["error: state is not finite in 2 rows, of episodes 1, 2"]
    assert not examine(bad).sound


def test_gaps_in_time(make: Callable[..., Demonstrations]) -> None:
    within = np.concatenate([np.arange(n) for n in (5, 9, 7)]) / 10
    good = make().with_columns(timestamp=within.astype(np.float32))
    assert findings(good) == []
    late = within.copy()
    late[8:14] += 0.3
    assert findings(make().with_columns(timestamp=late)) == [
        "error: 1 moments are not 1/10 s after the one before, the worst 0.400 s, in episode 1"
    ]


def test_episodes_of_odd_length(make: Callable[..., Demonstrations]) -> None:
    assert findings(make((100, 3, 100))) == ["warning: episode 1 is very short beside the median of 100 rows (3 rows)"]
    assert findings(make((9, 9, 80))) == ["warning: episode 2 is very long beside the median of 9 rows (80 rows)"]
    (many,) = findings(make((100,) * 9 + (2,) * 7))
    assert many.startswith(
        "warning: episodes 9, 10, 11, 12, 13 and 2 more are very short beside the median of 100 rows"
    )


def test_actions_that_stand_still_or_are_cut_off(make: Callable[..., Demonstrations]) -> None:
    still = make()
    still.columns["action"][:, 1] = 2.5
    assert findings(still) == ["warning: number 1 of the action is always 2.5"]
    cut = make((40, 40))
    np.minimum(cut.columns["action"], np.quantile(cut.columns["action"], 0.5, axis=0), out=cut.columns["action"])
    assert len(findings(cut)) == 2
    assert all("of the action is at its highest" in text for text in findings(cut))


def test_parts_that_read_as_zeros(make: Callable[..., Demonstrations]) -> None:
    assert findings(changed(make((60,)), "keypoint", slice(20, 45), 0.0)) == [
        "warning: keypoint is all zeros from row 20 to 44"
    ]
    assert findings(changed(make((60,)), "keypoint", slice(20, 30), 0.0)) == []


def test_an_episode_that_is_there_twice(make: Callable[..., Demonstrations]) -> None:
    twice = replace(make(), splits={}).take([0, 1, 0])
    assert findings(twice) == ["warning: the actions of episode 2 are exactly those of an earlier one"]
