"""How GPS fixes are matched to roads."""

from dataclasses import dataclass

from suffuse.trajectory.errors import TripError


@dataclass(frozen=True, kw_only=True)
class MatchConfig:
    """The defaults suit car GPS with a fix every one to sixty seconds; how they were found: docs/decisions/0015."""

    radius_m: float = 60.0
    """A fix belongs to a segment no farther than this."""
    gps_error_m: float = 15.0
    """Standard deviation of the fixes."""
    candidates: int = 12
    """Segments considered for each fix."""
    reach_m: float | None = None
    """The longest way between two fixes; unless given, what `usual_reach` says."""
    reverse_m: float = 20.0
    """How far a fix may fall back along a segment before it counts as driving round the block."""
    spacing_m: float = 30.0
    """Fixes nearer than this to the one before say more of the error than of the way, and only tell the time."""
    u_turn: float = 0.5
    """A way without the U-turns that the roads bar is taken if it is at least so likely, for each of them, as the way
    with them. With 0 it always is, if there is one."""
    stray_share: float = 0.1
    """The most fixes of a trace, as a share, that may have no road within `radius_m`; they are left out."""
    gap_s: float | None = None
    """A longer time without a fix begins a new trip; None never does."""
    cut: bool = False
    """Whether a trace that cannot be matched whole is cut there into several trips, rather than left out."""

    def __post_init__(self) -> None:
        for name in ("radius_m", "gps_error_m", "candidates", "reach_m", "gap_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise TripError(f"MatchConfig.{name} is {value}, but must be above 0")
        for name in ("reverse_m", "spacing_m"):
            if not getattr(self, name) >= 0:
                raise TripError(f"MatchConfig.{name} is {getattr(self, name)}, but must not be below 0")
        for name in ("stray_share", "u_turn"):
            if not 0 <= getattr(self, name) <= 1:
                raise TripError(f"MatchConfig.{name} is {getattr(self, name)}, but must be between 0 and 1")
