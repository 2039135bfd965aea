"""Map matching: traces of GPS fixes to trips over a road network."""

from suffuse.trajectory.matching.config import MatchConfig
from suffuse.trajectory.matching.match import match
from suffuse.trajectory.matching.points import Points
from suffuse.trajectory.matching.read import read_points
from suffuse.trajectory.matching.report import MatchReport, Problem

__all__ = ["MatchConfig", "MatchReport", "Points", "Problem", "match", "read_points"]
