"""What is written can be read again, in every format; what cannot be read is said in one sentence."""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from suffuse.policy.data import (
    Demonstrations,
    format_of,
    read_demonstrations,
    read_lerobot,
    read_robomimic,
    read_zarr,
    write_demonstrations,
    write_video,
)
from suffuse.policy.data.lerobot_layout import column_of, feature_of
from suffuse.policy.errors import DataError, PolicyError

FORMATS = {"zarr": "d.zarr", "zip": "d.zarr.zip", "robomimic": "d.hdf5", "v3": "d3", "v2": "d2"}
NAMED = {"v2": "lerobot-v2.1"}


def written(demonstrations: Demonstrations, folder: Path, kind: str) -> Path:
    path = folder / FORMATS[kind]
    write_demonstrations(demonstrations, path, format=NAMED.get(kind))
    return path


@pytest.mark.parametrize("kind", FORMATS)
def test_numbers_come_back_bit_for_bit(make: Callable[..., Demonstrations], tmp_path: Path, kind: str) -> None:
    given_ = make()
    found = read_demonstrations(written(given_, tmp_path, kind))
    np.testing.assert_array_equal(found.episode_ends, given_.episode_ends)
    for name, values in given_.columns.items():
        np.testing.assert_array_equal(found.columns[name], values)
        assert found.columns[name].dtype == values.dtype
    assert found.columns.keys() - given_.columns.keys() <= {"timestamp"}
    assert dict(found.splits) == dict(given_.splits)
    if kind != "robomimic":  # it has no place for either
        assert found.fps == given_.fps
        assert found.tasks == given_.tasks


@pytest.mark.parametrize("kind", ["zarr", "zip", "robomimic"])
def test_images_come_back_bit_for_bit_where_they_are_arrays(
    make: Callable[..., Demonstrations], tmp_path: Path, kind: str
) -> None:
    given_ = make(images=True)
    found = read_demonstrations(written(given_, tmp_path, kind))
    np.testing.assert_array_equal(found.columns["image"], given_.columns["image"])


@pytest.mark.parametrize("kind", ["v3", "v2"])
def test_images_come_back_nearly_where_they_are_videos(
    make: Callable[..., Demonstrations], tmp_path: Path, kind: str
) -> None:
    given_ = make(images=True)
    found = read_demonstrations(written(given_, tmp_path, kind))
    image, expected = found.columns["image"].astype(float), given_.columns["image"].astype(float)
    assert image.shape == expected.shape
    assert np.abs(image - expected).mean() < 4
    # rows differ by a shade of a few levels, so each frame must be its own row's
    distance = np.abs(image[:, None, ::4, ::4] - expected[None, :, ::4, ::4]).mean(axis=(2, 3, 4))
    np.testing.assert_array_equal(distance.argmin(axis=1), np.arange(len(image)))


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4), kind=st.sampled_from(sorted(FORMATS)))
def test_any_lengths_come_back(tmp_path_factory: pytest.TempPathFactory, lengths: list[int], kind: str) -> None:
    rows = sum(lengths)
    given_ = Demonstrations(
        columns={"action": np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)},
        episode_ends=np.cumsum(lengths).astype(np.int64), fps=5.0,
    )  # fmt: skip
    found = read_demonstrations(written(given_, tmp_path_factory.mktemp("any"), kind), columns=[])
    np.testing.assert_array_equal(found.columns["action"], given_.columns["action"])
    np.testing.assert_array_equal(found.episode_ends, given_.episode_ends)


@pytest.mark.parametrize("kind", FORMATS)
def test_columns_can_be_chosen(make: Callable[..., Demonstrations], tmp_path: Path, kind: str) -> None:
    path = written(make(images=True), tmp_path, kind)
    assert set(read_demonstrations(path, columns=["state"]).columns) == {"state", "action"}
    with pytest.raises(DataError, match="nothing"):
        read_demonstrations(path, columns=["nothing"])


def test_formats_are_told_by_what_is_there(make: Callable[..., Demonstrations], tmp_path: Path) -> None:
    found = {kind: format_of(written(make(), tmp_path, kind)) for kind in FORMATS}
    assert found == {"zarr": "zarr", "zip": "zarr", "robomimic": "robomimic", "v3": "lerobot", "v2": "lerobot"}
    (tmp_path / "notes.txt").write_text("hello there")
    (tmp_path / "empty").mkdir()
    for name in ("notes.txt", "empty", "missing"):
        with pytest.raises(DataError, match=name):
            format_of(tmp_path / name)


def test_what_cannot_be_written_leaves_nothing(make: Callable[..., Demonstrations], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give fps"):
        write_demonstrations(replace(make(), fps=None), tmp_path / "d")
    odd = make().with_columns(success=np.zeros(21, dtype=bool))
    with pytest.raises(DataError, match="no place for the column success"):
        write_demonstrations(odd, tmp_path / "d.hdf5")
    with pytest.raises(DataError, match=r"suffix \.txt says no format"):
        write_demonstrations(make(), tmp_path / "d.txt")
    with pytest.raises(DataError, match="format is 'csv'"):
        write_demonstrations(make(), tmp_path / "d", format="csv")
    with pytest.raises(PolicyError, match="there is no folder"):
        write_demonstrations(make(), tmp_path / "no" / "d.zarr")
    assert list(tmp_path.iterdir()) == []


# --- zarr


def original(path: Path, *, columns: dict[str, np.ndarray], ends: list[int]) -> Path:
    """A replay buffer as zarr 2 wrote it: no attributes of ours."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    for name, values in columns.items():
        group.create_array(f"data/{name}", data=values)
    group.create_array("meta/episode_ends", data=np.array(ends, dtype=np.int64))
    return path


def test_a_buffer_in_a_folder_of_a_zip(tmp_path: Path) -> None:
    action = np.arange(12, dtype=np.float32).reshape(6, 2)
    folder = original(tmp_path / "pusht.zarr", columns={"action": action}, ends=[2, 6])
    with zipfile.ZipFile(tmp_path / "pusht.zip", "w") as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(path, str(path.relative_to(tmp_path)))
    found = read_zarr(tmp_path / "pusht.zip")
    np.testing.assert_array_equal(found.columns["action"], action)
    assert found.fps is None
    assert found.lengths.tolist() == [2, 4]


def test_chunks_of_zeros_need_not_be_there(tmp_path: Path) -> None:
    columns = {"action": np.eye(6, 2, dtype=np.float32), "n_contacts": np.zeros((6, 1), dtype=np.float32)}
    path = original(tmp_path / "d.zarr", columns=columns, ends=[6])
    assert not list((path / "data" / "n_contacts").glob("0*"))
    np.testing.assert_array_equal(read_zarr(path).columns["n_contacts"], columns["n_contacts"])


@pytest.mark.parametrize(
    ("columns", "ends", "said"),
    [
        ({"state": np.zeros((4, 2))}, [4], "there is no column 'action'"),
        ({"action": np.zeros((4, 2))}, [5], "action has 4 rows, but the last episode ends at row 5"),
        ({"action": np.zeros((4, 2)), "state": np.zeros((3, 2))}, [4], "state has 3 rows"),
        ({"action": np.zeros((4, 2))}, [3, 3, 4], "episode 1 ends at row 3"),
        ({"action": np.zeros((4, 2))}, [0, 4], "episode 0 ends at row 0"),
    ],
)
def test_columns_that_do_not_fit_together(tmp_path: Path, columns: dict, ends: list[int], said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read_zarr(original(tmp_path / "d.zarr", columns=columns, ends=ends))
    assert "d.zarr" in str(caught.value)


def test_zips_and_folders_that_are_no_buffers(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and then nothing")
    (tmp_path / "b.zarr").mkdir()
    zarr.open_group(tmp_path / "c.zarr", mode="w", zarr_format=2)
    for name, said in (("a.zip", "cannot|is not a zarr"), ("b.zarr", "is not"), ("c.zarr", "it has no data")):
        with pytest.raises(DataError, match=said):
            read_zarr(tmp_path / name)


# --- robomimic


def test_demonstrations_are_ordered_by_number(tmp_path: Path) -> None:
    path = tmp_path / "d.hdf5"
    with h5py.File(path, "w") as file:
        for number in (10, 2, 0):
            file[f"data/demo_{number}/actions"] = np.full((2, 1), number, dtype=np.float64)
            file[f"data/demo_{number}/obs/eef"] = np.full((2, 3), number, dtype=np.float64)
        file["mask/some"] = np.array([b"demo_10"])
        file["data"].attrs["env_args"] = json.dumps({"env_name": "Lift"})
    found = read_robomimic(path)
    assert found.columns["action"].ravel().tolist() == [0, 0, 2, 2, 10, 10]
    assert found.splits == {"some": (2,)}
    assert found.environment == {"env_name": "Lift"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f["data/demo_1"].pop("actions"), "demo_1 has no actions"),
        (lambda f: f["data/demo_1/obs"].pop("state"), "differ in the column state"),
        (lambda f: f.pop("data"), "it has no group data"),
        (lambda f: [f["data"].pop(name) for name in list(f["data"])], "there are no demonstrations"),
        (lambda f: f.create_dataset("mask/odd", data=np.array([b"demo_9"])), "mask/odd names demo_9"),
        (lambda f: f["data"].attrs.__setitem__("env_args", "{"), "env_args is not JSON"),
    ],
)
def test_broken_robomimic_files(
    make: Callable[..., Demonstrations], tmp_path: Path, change: Callable, said: str
) -> None:
    path = written(make(), tmp_path, "robomimic")
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(DataError, match=said) as caught:
        read_robomimic(path)
    assert "d.hdf5" in str(caught.value)


def test_a_truncated_robomimic_file(make: Callable[..., Demonstrations], tmp_path: Path) -> None:
    path = written(make(), tmp_path, "robomimic")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"d\.hdf5"):
        read_robomimic(path)


# --- LeRobot


def test_names_of_columns_and_features() -> None:
    for column, feature in {
        "state": "observation.state", "images.top": "observation.images.top", "action": "action",
        "reward": "next.reward", "timestamp": "timestamp",
    }.items():  # fmt: skip
        assert feature_of(column) == feature
        assert column_of(feature) == column


def test_the_layout_of_version_3(make: Callable[..., Demonstrations], tmp_path: Path) -> None:
    path = written(make(images=True), tmp_path, "v3")
    files = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    assert files == {
        "meta/info.json", "meta/stats.json", "meta/tasks.parquet", "meta/episodes/chunk-000/file-000.parquet",
        "data/chunk-000/file-000.parquet", "videos/observation.image/chunk-000/file-000.mp4",
    }  # fmt: skip
    info = json.loads((path / "meta/info.json").read_text())
    assert (info["codebase_version"], info["total_episodes"], info["total_frames"], info["fps"]) == ("v3.0", 3, 21, 10)
    assert info["splits"] == {"train": "0:2", "valid": "2:3"}
    assert info["features"]["observation.image"]["shape"] == [32, 48, 3]
    episodes = pq.read_table(path / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [(e["dataset_from_index"], e["dataset_to_index"], e["tasks"]) for e in episodes] == [
        (0, 5, ["task 0"]), (5, 14, ["task 1"]), (14, 21, ["task 0"]),
    ]  # fmt: skip
    assert [e["videos/observation.image/from_timestamp"] for e in episodes] == [0.0, 0.5, 1.4]
    rows = pq.ParquetFile(path / "data/chunk-000/file-000.parquet").read()
    assert rows.column("task_index").to_pylist() == [0] * 5 + [1] * 9 + [0] * 7
    np.testing.assert_allclose(rows.column("timestamp").to_numpy()[:6], [0, 0.1, 0.2, 0.3, 0.4, 0], atol=1e-6)


def test_the_statistics_of_version_3(make: Callable[..., Demonstrations], tmp_path: Path) -> None:
    given_ = make(images=True)
    stats = json.loads((written(given_, tmp_path, "v3") / "meta/stats.json").read_text())
    action = given_.columns["action"].astype(np.float64)
    np.testing.assert_allclose(stats["action"]["mean"], action.mean(axis=0))
    np.testing.assert_allclose(stats["action"]["std"], action.std(axis=0))
    assert stats["action"]["count"] == [21]
    assert np.shape(stats["observation.image"]["max"]) == (3, 1, 1)
    assert 0 <= stats["observation.image"]["min"][0][0][0] < stats["observation.image"]["max"][0][0][0] <= 1


def test_the_layout_of_version_2(make: Callable[..., Demonstrations], tmp_path: Path) -> None:
    path = written(make(images=True), tmp_path, "v2")
    files = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    episodes = [f"data/chunk-000/episode_{number:06d}.parquet" for number in range(3)]
    videos = [f"videos/chunk-000/observation.image/episode_{number:06d}.mp4" for number in range(3)]
    lines = [f"meta/{name}.jsonl" for name in ("episodes", "episodes_stats", "tasks")]
    assert files == {"meta/info.json", *episodes, *videos, *lines}
    second = json.loads((path / "meta/episodes.jsonl").read_text().splitlines()[1])
    assert second == {"episode_index": 1, "tasks": ["task 1"], "length": 9}


def edit(path: Path, **changes: object) -> None:
    info = json.loads((path / "meta/info.json").read_text())
    (path / "meta/info.json").write_text(json.dumps({**info, **changes}))


@pytest.mark.parametrize("kind", ["v3", "v2"])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"codebase_version": "v4.0"}, "codebase_version is v4.0"),
        ({"fps": 0}, "fps is 0"),
        ({"total_episodes": 4}, "has 3 episodes"),
        ({"data_path": "../../{chunk_index}{file_index}{episode_index}"}, "leads outside|cannot be filled in"),
        ({"data_path": "/etc/passwd"}, "leads outside the folder"),
        ({"splits": {"train": "all"}}, "split train is 'all'"),
        ({"features": {}}, "there is no column 'action'"),
        ({"features": 3}, "is not the info"),
    ],
)
def test_broken_infos(
    make: Callable[..., Demonstrations], tmp_path: Path, kind: str, changes: dict[str, object], said: str
) -> None:
    path = written(make(), tmp_path, kind)
    edit(path, **changes)
    with pytest.raises(DataError, match=said):
        read_lerobot(path)


@pytest.mark.parametrize("kind", ["v3", "v2"])
def test_a_video_that_is_too_short(make: Callable[..., Demonstrations], tmp_path: Path, kind: str) -> None:
    path = written(make(images=True), tmp_path, kind)
    last = sorted(path.rglob("*.mp4"))[-1]
    last.unlink()
    write_video(list(make(images=True).columns["image"][:3]), last, fps=10.0)
    with pytest.raises(DataError, match=r"mp4: has \d frames for episode"):
        read_lerobot(path)
    assert "image" not in read_lerobot(path, columns=["state"]).columns


def test_a_video_cut_in_the_middle(make: Callable[..., Demonstrations], tmp_path: Path) -> None:
    path = written(make(images=True), tmp_path, "v3")
    video = next(path.rglob("*.mp4"))
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    with pytest.raises(DataError, match=r"\.mp4"):
        read_lerobot(path)


def test_rows_of_an_episode_that_are_missing(make: Callable[..., Demonstrations], tmp_path: Path) -> None:
    path = written(make(), tmp_path, "v3")
    file = path / "data/chunk-000/file-000.parquet"
    table = pq.ParquetFile(file).read()
    pq.write_table(pa.concat_tables([table.slice(0, 7), table.slice(9)]), file)
    with pytest.raises(DataError, match="episode 1 has 7 rows, but is 9 long"):
        read_lerobot(path)
    file.write_bytes(b"PAR1")
    with pytest.raises(DataError, match="is not a parquet file"):
        read_lerobot(path)
    file.unlink()
    with pytest.raises(DataError, match=r"file-000\.parquet"):
        read_lerobot(path)


def test_several_data_files_of_version_3(make: Callable[..., Demonstrations], tmp_path: Path) -> None:
    """As LeRobot writes them once a file is full: other episodes in another file, rows counted on."""
    given_ = make()
    path = written(given_, tmp_path, "v3")
    file = path / "data/chunk-000/file-000.parquet"
    table = pq.ParquetFile(file).read()
    pq.write_table(table.slice(0, 14), file)
    pq.write_table(table.slice(14), file.with_name("file-001.parquet"))
    meta = path / "meta/episodes/chunk-000/file-000.parquet"
    rows = pq.ParquetFile(meta).read().to_pylist()
    rows[2]["data/file_index"] = 1
    pq.write_table(pa.Table.from_pylist(rows), meta)
    np.testing.assert_array_equal(read_lerobot(path).columns["action"], given_.columns["action"])


def test_a_folder_that_is_moved_is_still_a_dataset(make: Callable[..., Demonstrations], tmp_path: Path) -> None:
    path = written(make(), tmp_path, "v2")
    shutil.move(path, tmp_path / "elsewhere")
    assert len(read_lerobot(tmp_path / "elsewhere")) == 3
