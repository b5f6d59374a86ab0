"""What a world ends with when a promise was not kept."""


class Violation(Exception):  # noqa: N818 - a finding, not an error
    """Something promised was not kept."""

    def __init__(self, invariant: str, sentence: str) -> None:
        super().__init__(sentence)
        self.invariant = invariant
