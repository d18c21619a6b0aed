"""What was found wrong so far: collected, so that one run tells all of it."""

from __future__ import annotations

from tidegate.errors import ConfigError, ConfigErrors, ConfigWarning, Place

__all__ = ["Problems", "closest"]

_MOST = 100


class Problems:
    """Errors and warnings on their way to the reader."""

    def __init__(self) -> None:
        self.errors: list[ConfigError] = []
        self.warnings: list[ConfigWarning] = []

    def error_at(self, place: Place, what: str, right: str = "") -> None:
        """Notes an error."""
        self.errors.append(ConfigError.at(place, what, right))

    def warn_at(self, place: Place, what: str, right: str = "") -> None:
        """Notes a warning."""
        self.warnings.append(ConfigWarning(place, what, right))

    def raise_if_any(self) -> None:
        """Raises what was found, sorted by place within a file, each once, at most a hundred."""
        if self.errors:
            files = list(dict.fromkeys(error.file for error in self.errors))
            found = {str(error): error for error in self.errors}
            ordered = sorted(found.values(), key=lambda error: (files.index(error.file), error.line, error.col))
            raise ConfigErrors(ordered[:_MOST])


def closest(word: str, known: list[str]) -> str | None:
    """The known word that was probably meant."""
    from difflib import get_close_matches

    found = get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return found[0] if found else None
