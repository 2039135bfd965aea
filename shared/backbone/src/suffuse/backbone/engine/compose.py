"""Putting shortcuts together: a fixed order, and conflicts refused before anything runs."""

from collections.abc import Sequence

from suffuse.backbone.engine.errors import ShortcutError
from suffuse.backbone.engine.shortcut import SCOPES, Shortcut
from suffuse.backbone.sites import Backbone


def compose(backbone: Backbone, shortcuts: Sequence[Shortcut]) -> tuple[Shortcut, ...]:
    """The shortcuts that are not idle, outermost first.

    Raises ShortcutError if two of one scope act on the same site, or one has no site in this model.
    """
    active = sorted((one for one in shortcuts if not one.idle), key=lambda one: SCOPES.index(one.scope))
    taken: dict[tuple[str, str], Shortcut] = {}
    for shortcut in active:
        sites = shortcut.sites(backbone)
        if not sites:
            raise ShortcutError(f"{shortcut.name} finds nothing to act on in a {type(backbone.model).__name__}")
        for site in sites:
            other = taken.setdefault((shortcut.scope, site.name), shortcut)
            if other is not shortcut:
                raise ShortcutError(
                    f"{other.name} and {shortcut.name} both decide on the {shortcut.scope} {site.name}; use one of them"
                )
    return tuple(active)
