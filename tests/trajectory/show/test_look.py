import numpy as np
import pytest
from matplotlib.colors import to_rgb

from suffuse.trajectory.show import look


def lightness(colour):
    """CIE L* of an sRGB colour."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = np.dot([0.2126, 0.7152, 0.0722], linear)
    return 116 * np.cbrt(luminance) - 16 if luminance > 0.008856 else 903.3 * luminance


@pytest.mark.parametrize(("theme", "sign"), [("light", -1), ("dark", 1)])
def test_ramps_go_one_way_in_even_steps_of_lightness(theme, sign):
    """So they can be read in grey, and equal steps of flow share look equal."""
    steps = sign * np.diff([lightness(colour) for colour in look.flow_ramp(theme)])
    assert (steps > 0).all()
    assert steps.max() < 2.5 * np.median(steps)


def test_scale_ends():
    flow = np.array([0.0, 25.0, 100.0])
    np.testing.assert_allclose(look.flow_share(flow, 100.0), [0, 0.5, 1])
    low, high = look.FLOW_WIDTH
    np.testing.assert_allclose(look.flow_width(flow, 100.0), [low, low + (high - low) / 4, high])


@pytest.mark.parametrize(
    ("peak", "ticks"), [(1, [1]), (10, [2, 5, 10]), (227, [2, 20, 50, 100, 227]), (1000, [2, 50, 200, 500, 1000])]
)
def test_ticks(peak, ticks):
    assert look.flow_ticks(float(peak)) == ticks


@pytest.mark.parametrize("peak", [1, 7, 99, 100, 101, 12_345, 9_999_999])
def test_ticks_are_round_apart_and_end_at_the_largest(peak):
    ticks = look.flow_ticks(float(peak))
    assert ticks[-1] == peak
    assert all(str(tick).rstrip("0") in {"1", "2", "5"} for tick in ticks[:-1])
    assert (np.diff(np.sqrt(ticks)) >= 0.16 * np.sqrt(peak)).all()


@pytest.mark.parametrize(
    ("metres", "rounded"), [(1, 1), (1.99, 1), (2, 2), (499, 200), (500, 500), (999, 500), (0.07, 0.05)]
)
def test_round_length(metres, rounded):
    assert look.round_length(float(metres)) == pytest.approx(rounded)


@pytest.mark.parametrize(("metres", "words"), [(500.0, "500 m"), (1000.0, "1 km"), (20_000.0, "20 km"), (0.5, "0.5 m")])
def test_metres_text(metres, words):
    assert look.metres_text(metres) == words
