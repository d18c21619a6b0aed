"""Tidegate: an edge proxy and API gateway, with the words that a hook is written in."""

TYPE_CHECKING = False  # `typing` itself takes longer to import than `tidegate version` may
if TYPE_CHECKING:
    from typing import Any

    from tidegate.policy import Decision, Headers, Request, answer, modify, refuse

__version__ = "0.1.0"
__all__ = ["Decision", "Headers", "Request", "__version__", "answer", "modify", "refuse"]


def __getattr__(name: str) -> "Any":
    # Imported when first asked for, so that `tidegate version` need not pay for it.
    if name in __all__:
        from tidegate import policy

        return getattr(policy, name)
    raise AttributeError(f"module 'tidegate' has no attribute {name!r}")
