"""Notices that configuration files have changed, by looking at them twice a second.

Looking, not inotify: a few `stat` calls cost microseconds, see through editors that replace a file and through the
symbolic links that Kubernetes swaps, and work on network file systems.
"""

import glob
import hashlib
import os
from collections.abc import Iterable
from typing import Final

EVERY_S: Final = 0.5


class Watch:
    """Files, and globs for what they find. A change counts once it has stood still for one look."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._digests = {path: digest(path) for path in paths}
        self._seen = self._look()
        self._settling = False

    def poll(self) -> bool:
        """Whether contents differ from when they were last reported; true once for each change."""
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            self._settling = True  # somebody may be writing still
            return False
        if not self._settling:
            return False
        self._settling = False
        digests = {path: digest(path) for path in self._digests}
        changed, self._digests = digests != self._digests, digests
        return changed

    def accept(self) -> None:
        """Takes contents as they are now for reported: somebody is about to load them."""
        self._seen = self._look()
        self._digests = {path: digest(path) for path in self._digests}
        self._settling = False

    def rebase(self, paths: Iterable[str]) -> None:
        """Watches these from now on; those that were watched already keep the content that was last reported."""
        self._digests = {path: self._digests.get(path) or digest(path) for path in paths}
        self._seen = self._look()
        self._settling = True  # one comparison more, for what changed between the loading and now

    def _look(self) -> list[object]:
        return [_signature(path) for path in self._digests]


def _signature(path: str) -> object:
    if _is_glob(path):
        return sorted(glob.glob(path, recursive=True))
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def digest(path: str) -> str:
    """What a file holds, or a glob finds, in a few characters; also of one that can't be read."""
    if _is_glob(path):
        content = "\0".join(sorted(glob.glob(path, recursive=True))).encode("utf-8", "surrogateescape")
    else:
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError as error:
            return f"unreadable: {error.errno}"
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _is_glob(path: str) -> bool:
    return "*" in path and not os.path.exists(path)
