"""What can be wrong with a model that is to be looked into."""


class UnknownDenoiserError(ValueError):
    """Nothing is known of a class of models; the message holds the line that makes it known."""

    def __init__(self, name: str, blocks: tuple[str, ...]) -> None:
        listed = "".join(f'"{path}", ' for path in blocks) or '"path.to.the.blocks", '
        guess = "its lists of modules suggest" if blocks else "with the right path that is"
        super().__init__(
            f"where the blocks of a {name} are is not known; {guess}\n"
            f"    suffuse.backbone.sites.register({name}, suffuse.backbone.sites.Layout(blocks=({listed.rstrip()})))"
        )


class SitesError(ValueError):
    """A model lacks the parts that were asked for, or a layout does not fit it."""
