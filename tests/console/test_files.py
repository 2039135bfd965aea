"""What is written appears whole or not at all."""

import os
from pathlib import Path

import pytest
from safetensors import SafetensorError

from suffuse.console import UserError, check_writable, replacing, write_json


class HouseError(UserError):
    """An error of a task."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def write_half(goal: Path, error: BaseException, *, also: tuple[type[Exception], ...] = ()) -> None:
    with replacing(goal, error=HouseError, also=also) as temporary:
        temporary.write_text("half of the n")
        temporary.with_name("beside it").write_text("too")
        raise error


@pytest.mark.parametrize(
    ("raised", "comes_out", "said"),
    [
        (OSError(28, "No space left on device"), HouseError, "kept.txt: cannot be written: No space left on device"),
        (SafetensorError("I/O error"), HouseError, "kept.txt: cannot be written: I/O error"),
        (EOFError("the writer's own"), HouseError, "kept.txt: cannot be written: the writer's own"),
        (KeyboardInterrupt(), KeyboardInterrupt, ""),
        (ValueError("no"), ValueError, "no"),
    ],
)
def test_what_is_there_stays_until_the_new_is_whole(
    raised: BaseException, comes_out: type[BaseException], said: str
) -> None:
    file = Path("kept.txt")
    file.write_text("old")
    with pytest.raises(comes_out) as caught:
        write_half(file, raised, also=(EOFError,))
    assert type(caught.value) is comes_out
    assert str(caught.value) == said
    assert (file.read_text(), names()) == ("old", ["kept.txt"])
    with replacing(file) as temporary:
        temporary.write_text("new")
        assert temporary.name == file.name
    assert (file.read_text(), names()) == ("new", ["kept.txt"])


def test_a_folder_appears_whole_or_not_at_all() -> None:
    with replacing(Path("folder")) as temporary:
        temporary.mkdir()
        (temporary / "a").write_text("1")
        assert not Path("folder").exists()
    assert [path.name for path in Path("folder").iterdir()] == ["a"]
    with pytest.raises(UserError, match="other: cannot be written: No such file"), replacing(Path("other")):
        pass
    assert names() == ["folder"]


def test_json_is_written_whole() -> None:
    write_json(Path("a.json"), {"at": Path("x"), "n": [1, 2.5, None]})
    assert Path("a.json").read_text() == '{\n  "at": "x",\n  "n": [\n    1,\n    2.5,\n    null\n  ]\n}\n'
    with pytest.raises(ValueError, match="Circular"):
        write_json(Path("a.json"), (loop := [], loop.append(loop))[0])
    with pytest.raises(HouseError, match=r"absent/a\.json: cannot be written"):
        write_json(Path("absent/a.json"), {}, error=HouseError)
    assert names() == ["a.json"]


def test_permissions_are_those_of_any_new_file() -> None:
    before = os.umask(0o027)
    try:
        with replacing(Path("new")) as temporary:
            temporary.write_text("")
        with replacing(Path("narrow")) as temporary:
            temporary.write_text("")
            temporary.chmod(0o600)  # as some writers do
    finally:
        os.umask(before)
    assert Path("new").stat().st_mode & 0o777 == 0o640
    assert Path("narrow").stat().st_mode & 0o777 == 0o640


def test_links_are_followed() -> None:
    Path("kept").mkdir()
    Path("kept/goal").write_text("old")
    Path("link").symlink_to("kept/goal")
    with replacing(Path("link")) as temporary:
        temporary.write_text("new")
    assert Path("link").is_symlink()
    assert Path("kept/goal").read_text() == "new"
    assert [path.name for path in Path("kept").iterdir()] == ["goal"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are of Unix")
def test_pipes_are_fed() -> None:
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    with replacing(Path("pipe")) as temporary:
        temporary.write_text("through")
    assert os.read(reader, 99) == b"through"
    os.close(reader)
    assert Path("pipe").is_fifo()
    assert names() == ["pipe"]


def test_paths_that_nothing_can_have_are_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("folder").mkdir()
    Path("file").write_text("")
    for path, said in {
        "absent/new": "absent/new: cannot be written: there is no folder absent",
        "file/new": "file/new: cannot be written: there is no folder file",
        "folder": "folder: cannot be written: it is a folder",
    }.items():
        with pytest.raises(HouseError) as caught:
            check_writable(Path(path), error=HouseError)
        assert str(caught.value) == said
        with pytest.raises(UserError) as caught, replacing(Path(path)):
            raise AssertionError("no work should be done")
        assert str(caught.value) == said
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(UserError, match="new: cannot be written: nobody may write in the folder"):
        check_writable(Path("new"))
