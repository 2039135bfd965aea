"""Pictures and moving pictures as files: PNG, GIF (Pillow) and MP4 (PyAV), by the suffix."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from suffuse.console import check_writable, replacing
from suffuse.policy.data.video import write_video
from suffuse.policy.errors import PolicyError

Picture = UInt8[np.ndarray, "_ _ 3"]
"""Red, green and blue, row by row from the top."""

MOVING = (".gif", ".mp4")
STILL = (".png",)

COLOURS = 96
"""Of a GIF's one palette: drawn scenes have few colours, and fewer make smaller files."""

LAST_SECONDS = 1.5
"""For how long a GIF stands still before it begins anew."""

INK, PAPER = (40, 40, 40), (255, 255, 255)


def check_picture_suffix(out: Path, kinds: Sequence[str]) -> None:
    """Raise PolicyError, before any work is done, for a path that no picture of these kinds can be written to."""
    if out.suffix.lower() not in kinds:
        raise PolicyError(f"{out}: suffix is {out.suffix!r}, but must be one of {', '.join(kinds)}")
    check_writable(out, error=PolicyError)


def write_pictures(frames: Sequence[Picture], out: Path, *, fps: float) -> None:
    """Write pictures of one size, moving (`.gif`, `.mp4`), or the only one as it is (`.png`).

    Raises:
        PolicyError: the suffix is another one, it cannot be written, or there are several pictures for a `.png`.
    """
    check_picture_suffix(out, (*MOVING, *STILL))
    if not frames or (len(frames) > 1 and out.suffix.lower() in STILL):
        raise PolicyError(f"{out}: there are {len(frames)} pictures for it; a .png holds one, the others at least one")
    with replacing(out, error=PolicyError) as temporary:
        if out.suffix.lower() == ".mp4":
            write_video([even(frame) for frame in frames], temporary, fps=fps)
        elif out.suffix.lower() == ".gif":
            write_gif(frames, temporary, fps=fps)
        else:
            Image.fromarray(frames[0]).save(temporary, optimize=True)


def write_gif(frames: Sequence[Picture], path: Path, *, fps: float) -> None:
    """A GIF that goes round for ever, all frames in one palette, the last one held for a moment."""
    sample = np.concatenate([frames[place] for place in np.linspace(0, len(frames) - 1, 4).astype(int)])
    palette = Image.fromarray(sample).quantize(COLOURS)
    pages = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    step = max(20, round(1000 / fps))
    held = [step] * (len(pages) - 1) + [max(step, round(1000 * LAST_SECONDS))]
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=held, loop=0, disposal=1)


def even(frame: Picture) -> Picture:
    """The picture without its last row or column where their number is odd, which a video cannot have."""
    return frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]


def shrunk(frame: Picture, height: int) -> Picture:
    """The picture at another height in the same proportions."""
    width = round(frame.shape[1] * height / frame.shape[0])
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS))


def captioned(frame: Picture, text: str, colour: tuple[int, int, int], *, bar: int = 22) -> Picture:
    """The picture in a frame of a colour, with a line of text above it."""
    image = Image.new("RGB", (frame.shape[1] + 4, frame.shape[0] + bar + 4), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((4, bar // 2), text, fill=INK, font=ImageFont.load_default(13), anchor="lm")
    draw.rectangle((0, bar, image.width - 1, image.height - 1), fill=colour)
    image.paste(Image.fromarray(frame), (2, bar + 2))
    return np.asarray(image)


def grid(cells: Sequence[Picture], columns: int, *, gap: int = 6) -> Picture:
    """Pictures of one size in rows of `columns`, on white."""
    high, wide, _ = cells[0].shape
    rows = -(-len(cells) // columns)
    sheet = np.full((rows * (high + gap) + gap, columns * (wide + gap) + gap, 3), 255, dtype=np.uint8)
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        top, left = gap + row * (high + gap), gap + column * (wide + gap)
        sheet[top : top + high, left : left + wide] = cell
    return sheet
