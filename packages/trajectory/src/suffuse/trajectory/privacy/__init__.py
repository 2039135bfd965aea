"""What generated trips, and models, give away about the trips they were learned from."""

from suffuse.trajectory.privacy.attacks import Attack, attack
from suffuse.trajectory.privacy.audit import Audit, Figures, audit
from suffuse.trajectory.privacy.nearest import nearest_overlap
from suffuse.trajectory.privacy.subpaths import longest_shared_m

__all__ = ["Attack", "Audit", "Figures", "attack", "audit", "longest_shared_m", "nearest_overlap"]
