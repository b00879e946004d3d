"""A promise that was broken."""


class Violation(Exception):
    """`name` is the invariant, `story` what happened, in one line; both are the same in each repetition."""

    def __init__(self, name: str, story: str) -> None:
        super().__init__(f"{name}: {story}")
        self.name, self.story = name, story
