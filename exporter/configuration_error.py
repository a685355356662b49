"""The one error that ends a command with clear lines, apart from what finds it, which takes long to import."""

from collections.abc import Sequence


class ConfigurationError(Exception):
    """A configuration can't be used. `problems`: a line each, with file, place, and what to do."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)
