"""A matplotlib figure laid out in pixels from its top left corner, as one would sketch it."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

DPI = 100
GROUND = "#fcfbf8"
INK = "#23211d"
QUIET = "#6d6961"

Pixels = int | float


class Sheet:
    """A page of `width` x `height` pixels; places are (left, top) in pixels."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=GROUND)
        self.canvas = FigureCanvasAgg(self.figure)

    def axes(self, left: Pixels, top: Pixels, width: Pixels, height: Pixels) -> Axes:
        """Empty axes over a rectangle."""
        box = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(box)
        axes.patch.set_alpha(0)
        return axes

    def drawing(self, left: Pixels, top: Pixels, width: Pixels, height: Pixels) -> Axes:
        """Axes without frame whose data coordinates are pixels, from the bottom left corner."""
        axes = self.axes(left, top, width, height)
        axes.set_axis_off()
        axes.set(xlim=(0, width), ylim=(0, height))
        return axes

    def text(
        self,
        left: Pixels,
        top: Pixels,
        words: str,
        *,
        size: int | float,
        colour: str = INK,
        weight: str = "normal",
        align: str = "left",
        room: Pixels | None = None,
    ) -> Text:
        """One line with its baseline at `top`, shown as it is written; shrunk, then cut short, to fit `room` pixels."""
        text = self.figure.text(
            left / self.width,
            1 - top / self.height,
            words,
            size=size,
            color=colour,
            weight=weight,
            ha=align,
            va="baseline",
            parse_math=False,
        )
        if room is not None:
            self._fit(text, words, size, room)
        return text

    @staticmethod
    def _fit(text: Text, words: str, size: int | float, room: Pixels) -> None:
        if width_of(text) > room:
            text.set_fontsize(max(0.7 * size, size * room / width_of(text)))
        while width_of(text) > room and len(words) > 1:
            words = words[: min(len(words) - 1, int(len(words) * room / width_of(text)))].rstrip()
            text.set_text(f"{words}…")

    def save(self, path: Path) -> None:
        """Write the page as PNG, without the name and version of the software, which are no part of it."""
        self.figure.savefig(path, format="png", dpi=DPI, facecolor=GROUND, metadata={"Software": None})


def width_of(text: Text) -> float:
    """Width of a text as it is drawn, pixels."""
    return float(text.get_window_extent().width)
