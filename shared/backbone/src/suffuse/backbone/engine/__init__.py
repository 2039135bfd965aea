"""What runs shortcuts: the plug-in interface, sessions, budgets and reports."""

from suffuse.backbone.engine.budget import Spread, check_budget, light_steps, spread
from suffuse.backbone.engine.clock import Clock, PipelineClock
from suffuse.backbone.engine.compose import compose
from suffuse.backbone.engine.errors import SessionError, ShortcutError
from suffuse.backbone.engine.report import Report, Row
from suffuse.backbone.engine.session import Session
from suffuse.backbone.engine.shortcut import (
    SCOPES,
    Moment,
    Player,
    Scope,
    Shortcut,
    SiteCall,
    each_row,
    join_rows,
)
from suffuse.backbone.engine.spans import Span, SpanCache
from suffuse.backbone.engine.values import ValueCache

__all__ = [
    "SCOPES",
    "Clock",
    "Moment",
    "PipelineClock",
    "Player",
    "Report",
    "Row",
    "Scope",
    "Session",
    "SessionError",
    "Shortcut",
    "ShortcutError",
    "SiteCall",
    "Span",
    "SpanCache",
    "Spread",
    "ValueCache",
    "check_budget",
    "compose",
    "each_row",
    "join_rows",
    "light_steps",
    "spread",
]
