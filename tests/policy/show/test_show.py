"""Pictures: sizes and frames are what was asked for, and what they show is where it has to be."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from suffuse.policy import DiffusionPolicy, evaluate
from suffuse.policy.cli import app
from suffuse.policy.data import read_video
from suffuse.policy.environments import PUSHT, TASKS, Episode, PolicyActor
from suffuse.policy.errors import DataError, PolicyError, TaskError
from suffuse.policy.show import CurvePoint, Film, film, plot_chunk, plot_curve, plot_episodes, read_points, watch_chunk
from suffuse.policy.show.episodes import FAILED, MOMENTS, SUCCEEDED, UNDER_WAY
from suffuse.policy.show.pictures import grid, write_pictures


class Still:
    """Stays where it is."""

    def begin(self, slot: int, episode: Episode) -> None:
        """Nothing to remember."""

    def act(self, episodes: Mapping[int, Episode]) -> dict[int, np.ndarray]:
        """Where the disc is."""
        return {slot: np.float32(episode.observation["agent_pos"]) for slot, episode in episodes.items()}


@pytest.fixture
def policy() -> DiffusionPolicy:
    """A small one of random weights that sees what PushT shows."""
    torch.manual_seed(0)
    made = DiffusionPolicy(
        observations={"agent_pos": [2], "environment_state": [16]}, action_size=2, horizon=9, sampling_steps=3,
        denoiser={"width": 8, "depth": 1, "heads": 2}, noise={"prediction": "sample"}, relative_to="agent_pos",
        action_low=[0.0, 0.0], action_high=[512.0, 512.0], task=PUSHT.name,
    ).eval()  # fmt: skip
    made.action_normaliser.scale.fill_(20.0)
    return made


def films(*lengths: int) -> list[Film]:
    """Made up ones, lighter from step to step, which succeed if their length is even."""
    return [
        Film(
            seed=number, frames=np.tile(15 * np.arange(length, dtype=np.uint8)[:, None, None, None], (1, 20, 20, 3)),
            rewards=tuple(np.linspace(0, 1, length).tolist()), success=length % 2 == 0,
        )
        for number, length in enumerate(lengths)
    ]  # fmt: skip


def test_a_film_has_a_picture_before_and_after_every_step() -> None:
    made = film(replace(PUSHT, max_steps=4), Still(), [7, 8], height=40)
    assert [one.seed for one in made] == [7, 8]
    assert [one.frames.shape for one in made] == [(5, 40, 40, 3)] * 2
    assert [len(one.rewards) for one in made] == [5, 5]
    assert made[0].rewards[0] == 0
    assert (made[0].frames[0] != made[1].frames[0]).any()
    np.testing.assert_array_equal(made[0].frames[2], made[0].frames[3])  # nothing moves
    with pytest.raises(ValueError, match="0 seeds"):
        film(PUSHT, Still(), [])


def test_a_film_of_every_second_step_has_the_end_too() -> None:
    (whole,) = film(replace(PUSHT, max_steps=5), Still(), [7], height=40)
    (made,) = film(replace(PUSHT, max_steps=5), Still(), [7], height=40, every=2)
    np.testing.assert_array_equal(made.frames, whole.frames[[0, 2, 4, 5]])
    assert made.rewards == whole.rewards
    for step in (0, 2, 4, 5):
        np.testing.assert_array_equal(made.cell(step), whole.cell(step))


def test_a_grid_has_every_picture_in_its_place() -> None:
    cells = [np.full((3, 4, 3), number, np.uint8) for number in range(5)]
    sheet = grid(cells, 3, gap=2)
    assert sheet.shape == (2 * 5 + 2, 3 * 6 + 2, 3)
    for number in range(5):
        row, column = divmod(number, 3)
        assert (sheet[2 + row * 5 : 5 + row * 5, 2 + column * 6 : 6 + column * 6] == number).all()
    assert (sheet[7:, 14:] == 255).all()  # where a sixth would be


def test_a_cell_says_by_its_colour_how_the_episode_ended() -> None:
    good, bad = films(4, 5)
    for one, step, colour in ((good, 3, SUCCEEDED), (good, 99, SUCCEEDED), (good, 2, UNDER_WAY), (bad, 4, FAILED)):
        assert tuple(one.cell(step)[-1, 0]) == colour


def test_a_still_sheet_has_a_row_of_moments_for_each_episode(tmp_path: Path) -> None:
    plot_episodes(films(4, 15, 9), tmp_path / "sheet.png", fps=10.0)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    cell = films(4)[0].cell(0).shape
    assert sheet.shape == (3 * (cell[0] + 6) + 6, MOMENTS * (cell[1] + 6) + 6, 3)


def test_moving_sheets_go_to_the_end_of_the_longest_episode(tmp_path: Path) -> None:
    plot_episodes(films(4, 8), tmp_path / "sheet.gif", fps=10.0, every=3)
    with Image.open(tmp_path / "sheet.gif") as moving:
        assert moving.n_frames == 4  # steps 0, 3, 6 and 7
        assert moving.info["loop"] == 0
        moving.seek(3)
        last = np.asarray(moving.convert("RGB")).astype(int)
    cell = films(8)[0].cell(7)
    assert np.abs(last[6 + cell.shape[0] - 1, 6] - np.array(SUCCEEDED)).max() < 30  # palettes round
    plot_episodes(films(4, 8), tmp_path / "sheet.mp4", fps=10.0, every=3)
    assert len(read_video(tmp_path / "sheet.mp4")) == 4


def test_pictures_go_to_files_that_can_hold_them(tmp_path: Path) -> None:
    frame = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(PolicyError, match=r"suffix is '\.bmp', but must be one of \.gif, \.mp4, \.png"):
        write_pictures([frame], tmp_path / "a.bmp", fps=5.0)
    with pytest.raises(PolicyError, match="there are 2 pictures"):
        write_pictures([frame, frame], tmp_path / "a.png", fps=5.0)
    with pytest.raises(ValueError, match="every is 0"):
        plot_episodes(films(4), tmp_path / "a.gif", fps=5.0, every=0)
    assert list(tmp_path.iterdir()) == []


def test_what_is_watched_begins_as_noise_and_ends_as_the_chunk(policy: DiffusionPolicy) -> None:
    story = watch_chunk(policy, seed=5, chunks=4)
    assert story.actions.shape == (4, 4, 8, 2)  # before, and after each of 3 steps
    environment = PUSHT.make()
    episode = Episode(PUSHT, environment, 5)
    seen = {name: torch.from_numpy(np.stack([np.stack([episode.observation[name]] * 2)] * 4)).float()
            for name in policy.shapes}  # fmt: skip
    environment.close()
    own = [torch.Generator().manual_seed(5000 + row) for row in range(4)]
    noise = torch.stack([torch.randn((9, 2), generator=torch.Generator().manual_seed(5000 + row)) for row in range(4)])
    expected = noise * 20 + torch.from_numpy(story.agent)
    np.testing.assert_allclose(story.actions[0], expected[:, 1:], atol=1e-3)
    np.testing.assert_array_equal(story.actions[-1], policy.sample(seen, own)[:, 1:].numpy())


def test_a_chunk_is_watched_at_the_moment_that_was_asked_for(policy: DiffusionPolicy) -> None:
    actor, environment = PolicyActor(policy), PUSHT.make()
    episode = Episode(PUSHT, environment, 5)
    actor.begin(0, episode)
    for _ in range(3):
        episode.step(actor.act({0: episode})[0])
    environment.close()
    np.testing.assert_allclose(watch_chunk(policy, seed=5, at=3, chunks=1).agent, episode.observation["agent_pos"])
    with pytest.raises(ValueError, match="at is 999; the episode of seed 5 is over after 300 steps"):
        watch_chunk(policy, seed=5, at=999)
    policy.register_to_config(task="metaworld/reach-v3")
    with pytest.raises(TaskError, match="this policy is for metaworld/reach-v3"):
        watch_chunk(policy, seed=5)


def test_chunks_are_drawn_still_and_moving(policy: DiffusionPolicy, tmp_path: Path) -> None:
    story = watch_chunk(policy, seed=5, chunks=2)
    plot_chunk(story, tmp_path / "chunk.png")
    plot_chunk(story, tmp_path / "chunk.gif")
    with Image.open(tmp_path / "chunk.png") as still, Image.open(tmp_path / "chunk.gif") as moving:
        assert still.width > 3 * moving.width  # four panels
        assert moving.n_frames == 4
        assert np.asarray(still.convert("L")).std() > 10


def result(**changes: object) -> dict[str, object]:
    """What `evaluate --json` writes, made up."""
    return {
        "model": "m", "episodes": 100, "success_rate": 0.8, "mean_max_reward": 0.99, "cpu_ms_per_chunk": 10.0,
        "ci95": {"success_rate": [0.7, 0.9], "mean_max_reward": [0.98, 1.0]},
        "settings": {"sampler": "ddim", "steps": 5}, **changes,
    }  # fmt: skip


def test_points_are_what_evaluate_found(
    monkeypatch: pytest.MonkeyPatch, policy: DiffusionPolicy, tmp_path: Path
) -> None:
    monkeypatch.setitem(TASKS, PUSHT.name, replace(PUSHT, max_steps=5))
    found = evaluate(PolicyActor(policy), PUSHT.name, episodes=2)
    (tmp_path / "one.json").write_text(json.dumps(found.to_dict()))
    point = read_points(tmp_path / "one.json")[0]
    assert (point.sampler, point.steps, point.shortcut, point.label) == ("ddim", 3, None, "3")
    assert point.figures["mean_max_reward"] == (found.mean_max_reward, *found.ci95["mean_max_reward"])
    several = {"a": result(), "b": result(settings={"sampler": "ddpm", "steps": 9, "shortcut": "bac", "budget": 0.25})}
    (tmp_path / "several.json").write_text(json.dumps(several))
    assert [one.label for one in read_points(tmp_path / "several.json")] == ["5", "0.25"]


@pytest.mark.parametrize("text", ["[]", "{}}", '{"a": 3}', '{"settings": {}}', "[1, 2]"])
def test_other_files_hold_no_points(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json"):
        read_points(tmp_path / "a.json")


def test_a_curve_takes_points_with_a_cpu_time(tmp_path: Path) -> None:
    one = CurvePoint(
        model="m", sampler="ddim", steps=5, shortcut=None, budget=1.0, cpu_ms=10.0, episodes=9,
        figures={"success_rate": (0.8, 0.7, 0.9), "mean_max_reward": (0.99, 0.98, 1.0)},
    )  # fmt: skip
    fast = replace(one, sampler="ddpm", steps=100, shortcut="uniform", budget=0.2, cpu_ms=60.0)
    plot_curve([one, fast, replace(one, sampler=None, cpu_ms=None, model="planner")], tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as drawn:
        assert drawn.width > 2 * drawn.height
    with pytest.raises(PolicyError, match="none of a diffusion policy"):
        plot_curve([replace(one, sampler=None, cpu_ms=None)], tmp_path / "other.png")
    with pytest.raises(PolicyError, match=r"must be one of \.png"):
        plot_curve([one], tmp_path / "curve.svg")


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Runs `show` in an empty folder, with episodes of at most six steps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(TASKS, PUSHT.name, replace(PUSHT, max_steps=6))

    def run(*arguments: object) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["show", *(str(argument) for argument in arguments)])
        return done.exit_code, done.stderr

    return run


def test_show_writes_each_kind(call: Callable[..., tuple[int, str]], policy: DiffusionPolicy, tmp_path: Path) -> None:
    policy.save_pretrained(tmp_path / "model")
    assert call("episodes", "--model", "model", "--episodes", 2, "--out", "a.gif")[0] == 0
    assert "2 episodes, 0 with success" in call("episodes", "--model", "random", "--episodes", 2, "--out", "a.png")[1]
    assert call("chunk", "--model", "model", "--chunks", 2, "--at", 2, "--steps", 2, "--out", "b.png")[0] == 0
    (tmp_path / "r.json").write_text(json.dumps(result()))
    assert "1 points written" in call("curve", "r.json", "--out", "c.png")[1]
    assert {"a.gif", "a.png", "b.png", "c.png", "c.png.run.json"} <= {path.name for path in tmp_path.iterdir()}


def test_show_refuses_what_it_cannot_use(call: Callable[..., tuple[int, str]]) -> None:
    for arguments, said in {
        ("film", "--out", "a.png"): "KIND is 'film', but must be one of episodes, chunk, curve",
        ("curve", "--out", "a.png"): "show curve takes files of evaluate --json",
        ("chunk", "r.json", "--out", "a.png"): "the other kinds take none",
        ("episodes", "--out", "a.webp"): "suffix is '.webp'",
        ("curve", "r.json", "--out", "a.gif"): "must be one of .png",
        ("curve", "nowhere.json", "--out", "a.png"): "nowhere.json: there is no such file",
        ("chunk", "--model", "random", "--out", "a.png"): "random draws no chunks",
        ("chunk", "--every", "3", "--out", "a.png"): "--every does not concern show chunk",
        ("curve", "r.json", "--first-seed", "3", "--out", "a.png"): "--first-seed does not concern show curve",
        ("episodes", "--title", "Six", "--out", "a.png"): "--title does not concern show episodes",
    }.items():
        code, text = call(*arguments)
        assert (code, said in text) == (2, True), (arguments, text)
