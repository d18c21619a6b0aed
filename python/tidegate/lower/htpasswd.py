"""Password files as Apache's `htpasswd` writes them: a name, a colon and a hash in each line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tidegate import plan
from tidegate.errors import Place

if TYPE_CHECKING:
    from tidegate.lower.work import Path, Work

__all__ = ["lower_htpasswd", "wrong_hash"]

FILE_MOST = 4 << 20
"""Forty thousand users; more belong into a store of their own, behind `forward`."""

_B64 = r"[./0-9A-Za-z]"
_HASHES = (
    re.compile(rf"\$2[aby]\$(?P<cost>\d\d)\${_B64}{{53}}"),
    re.compile(
        r"\$argon2id\$v=19\$m=(?P<memory>\d{1,7}),t=(?P<time>\d{1,3}),p=(?P<lanes>\d{1,2})"
        r"\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{16,86}"
    ),
    re.compile(r"\{SHA\}[A-Za-z0-9+/]{27}="),
    re.compile(rf"\$apr1\${_B64}{{1,8}}\${_B64}{{22}}"),
    re.compile(rf"\$5\$(?:rounds=(?P<rounds5>\d{{1,9}})\$)?{_B64}{{1,16}}\${_B64}{{43}}"),
    re.compile(rf"\$6\$(?:rounds=(?P<rounds6>\d{{1,9}})\$)?{_B64}{{1,16}}\${_B64}{{86}}"),
)
_RIGHT = "make it with `htpasswd -B` (bcrypt), or write an `$argon2id$` hash"

Wrong = tuple[str, str]
"""What is wrong with a hash, and what would be right."""


def wrong_hash(text: str) -> Wrong | None:
    """What is wrong with a hash; None where nothing is. The hash itself is never told."""
    for form in _HASHES:
        if (found := form.fullmatch(text)) is not None:
            return _too_much({key: int(value) for key, value in found.groupdict().items() if value})
    if text.startswith(("$2", "$argon2", "{SHA}", "$apr1$", "$5$", "$6$")):
        return "the hash is cut, or has been written down wrong", _RIGHT
    if text.startswith(("$1$", "{SSHA}", "{MD5}", "$scrypt$", "$7$", "$y$")):
        return "this kind of hash is not known", _RIGHT
    return "the password stands there as it is, or by a hash (crypt) that is easily undone", _RIGHT


def _too_much(costs: dict[str, int]) -> Wrong | None:
    """Bounds on what one check may take: about a second, and 256MiB."""
    if not 4 <= costs.get("cost", 4) <= 14:
        return f"bcrypt of cost {costs['cost']} takes seconds for each check", "write it with a cost of 10 to 12"
    if costs.get("memory", 8) > 1 << 18 or costs.get("memory", 8) * costs.get("time", 1) > 1 << 21:
        return "this argon2id hash takes seconds for each check, or more than 256MiB", "use `m=19456,t=2,p=1`"
    if "lanes" in costs and (costs["lanes"] < 1 or costs["time"] < 1 or costs["memory"] < 8 * costs["lanes"]):
        return "these are no parameters of argon2id (RFC 9106 §3.1)", "use `m=19456,t=2,p=1`"
    if max(costs.get("rounds5", 1000), costs.get("rounds6", 1000)) > 1_000_000:
        return "so many rounds take seconds for each check", "write it with `rounds=100000` or fewer"
    return None


def lower_htpasswd(name: str, taken: set[str], path: Path, work: Work) -> list[plan.PasswordHash]:
    """The users of a file; what is wrong in it is noted with its line there."""
    file = work.file(name, path)
    content = work.read(file, path, FILE_MOST)
    if content is None:
        return []
    made: dict[str, plan.PasswordHash] = {}
    for number, line in enumerate(content.decode("utf-8", "surrogateescape").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        user, colon, hashed = text.partition(":")
        at = Place(file, number, 1)
        if not colon or not user or not user.isprintable():
            work.problems.error_at(at, "this is no `NAME:HASH`", "write one user in each line")
        elif user in made or user in taken:
            work.problems.error_at(at, f"`{user}` is there twice", "keep one line of each user")
        elif (wrong := wrong_hash(hashed)) is not None:
            work.problems.error_at(Place(file, number, len(user) + 2), *wrong)
        else:
            made[user] = plan.PasswordHash(name=user, hash=hashed)
    if not made and not work.problems.errors:
        work.warn(path, f"`{file}` has no user", "add one with `htpasswd -B`")
    return list(made.values())
