"""Python functions that have a word: those that are equal are one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidegate import plan
from tidegate.model.hook import Hook

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work

__all__ = ["add_hook", "lower_hook"]

_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def lower_hook(written: str | Hook, path: Path, work: Work) -> int:
    """The hook's index."""
    entry = Hook(call=written) if isinstance(written, str) else written
    at = path if isinstance(written, str) else (*path, "call")
    if not _NAME.fullmatch(entry.call):
        right = "write `module:function`"
        if "." in entry.call and ":" not in entry.call:
            right = f"write `{':'.join(entry.call.rsplit('.', 1))}`"
        work.error(at, f"`{entry.call}` names no function", right)
    return add_hook(
        plan.Hook(
            name=entry.call,
            timeout_ms=work.milliseconds(entry.timeout, (*path, "timeout"), least=1),
            body=entry.body,
            body_bytes=work.bytes(entry.max_body, (*path, "max_body")),
            on_failure=entry.on_failure,
        ),
        at,
        work,
    )


def add_hook(hook: plan.Hook, path: Path, work: Work) -> int:
    """The index of that hook in the plan, where it may be already."""
    index = work.hook_indices.setdefault(hook, len(work.hooks))
    if index == len(work.hooks):
        work.hooks.append(hook)
        work.hook_paths.append(path)
    return index
