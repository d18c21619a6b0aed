"""Who may come: credentials by hash, addresses by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate import plan
from tidegate.lower.headers import is_token
from tidegate.lower.htpasswd import lower_htpasswd, wrong_hash
from tidegate.lower.server import cidrs

if TYPE_CHECKING:
    from tidegate.lower.upstream import Upstreams
    from tidegate.lower.work import Path, Work
    from tidegate.model.auth import Access, ApiKeys, Auth, Basic
    from tidegate.model.secret import Secret

__all__ = ["lower_access", "lower_auth"]


def lower_access(access: Access, path: Path, work: Work) -> plan.Access:
    """Who may come by address."""
    made = plan.Access(
        allow=cidrs(access.allow, (*path, "allow"), work),
        deny=cidrs(access.deny, (*path, "deny"), work),
    )
    if not access.allow and not access.deny:
        work.error(path, "this lets everybody in", "add `allow` or `deny`, or leave `access` out")
    return made


def lower_auth(auth: Auth, path: Path, work: Work, upstreams: Upstreams) -> plan.Auth | None:
    """Who may come by credentials; None where it was wrong."""
    methods: list[plan.ApiKeys | plan.Basic | plan.Jwt] = []
    if auth.api_keys is not None:
        methods.append(_api_keys(auth.api_keys, (*path, "api_keys"), work))
    if auth.jwt is not None:
        from tidegate.lower.jwt import lower_jwt

        methods.append(lower_jwt(auth.jwt, (*path, "jwt"), work))
    if auth.basic is not None:
        methods.append(_basic(auth.basic, (*path, "basic"), work))
    if auth.forward is not None:
        from tidegate.lower.forward import lower_forward

        if methods:
            work.error((*path, "forward"), "somebody else decides, and there are other ways in", "keep one of them")
        return lower_forward(auth.forward, (*path, "forward"), work, upstreams)
    if auth.oidc is not None:
        from tidegate.lower.oidc import lower_oidc

        if methods or auth.forward is not None:
            work.error((*path, "oidc"), "people log in elsewhere, and there are other ways in", "keep one of them")
        return lower_oidc(auth.oidc, (*path, "oidc"), work)
    if not methods:
        work.error(
            path, "this asks for nothing", "add `api_keys`, `jwt`, `basic`, `forward` or `oidc`, or leave `auth` out"
        )
        return None
    return methods[0] if len(methods) == 1 else plan.Any(methods=methods)


def _api_keys(written: ApiKeys, path: Path, work: Work) -> plan.ApiKeys:
    source: plan.KeySource = plan.KeyBearer()
    places = [place for place in ("header", "query", "cookie") if getattr(written, place) is not None]
    if len(places) > 1:
        work.error((*path, places[1]), f"`{places[0]}` and `{places[1]}` are both here", "keep one of them")
    if written.header is not None:
        if not is_token(written.header):
            work.error((*path, "header"), f"`{written.header}` is not a header's name", "write `X-Api-Key`")
        elif written.header.lower() == "authorization":
            right = "leave `header` out for `Authorization: Bearer KEY`"
            work.error((*path, "header"), "`Authorization` has a scheme before the key", right)
        source = plan.KeyHeader(name=written.header)
    elif written.query is not None:
        if not written.query:
            work.error((*path, "query"), "the parameter's name is empty", "write `query: key`")
        source = plan.KeyQuery(name=written.query)
    elif written.cookie is not None:
        if not is_token(written.cookie):
            work.error((*path, "cookie"), f"`{written.cookie}` is not a cookie's name", "write `cookie: session`")
        source = plan.KeyCookie(name=written.cookie)
    if not written.keys:
        work.error((*path, "keys"), "no key is let in", 'add `keys: [{name: web, key: "${WEB_KEY}"}]`')
    keys = []
    names = _Once("key", path, "keys", work)
    for index, entry in enumerate(written.keys):
        at = (*path, "keys", index)
        digest = _digest(entry.key, entry.sha256, "", "key", at, work)
        names.check(entry.name, digest, index)
        keys.append(plan.ApiKey(name=entry.name, sha256=digest))
    return plan.ApiKeys(source=source, keys=keys, strip=not written.forward)


def _basic(written: Basic, path: Path, work: Work) -> plan.Basic:
    if any(char in '"\\' or not char.isprintable() for char in written.realm):
        work.error(
            (*path, "realm"), "a realm has no quotation marks and no control characters", "write letters and spaces"
        )
    if not written.users and written.file is None:
        right = 'add `users: [{name: ann, password: "${ANN_PASSWORD}"}]`, or `file: users.htpasswd`'
        work.error((*path, "users"), "no user is let in", right)
    users = []
    hashes: list[plan.PasswordHash] = []
    names = _Once("user", path, "users", work)
    for index, entry in enumerate(written.users):
        at = (*path, "users", index)
        if ":" in entry.name:
            work.error(
                (*at, "name"), f"`{entry.name}` has a colon, which ends a name (RFC 7617 §2)", "write it without"
            )
        if entry.hash is not None:
            if entry.password is not None or entry.sha256 is not None:
                other = "password" if entry.password is not None else "sha256"
                work.error(at, f"`hash` and `{other}` are both here", "keep one of them")
            names.check(entry.name, entry.hash.sha256(f"{entry.name}:"), index)
            if (wrong := wrong_hash(text := entry.hash.for_wire())) is not None:
                work.error((*at, "hash"), *wrong)
            hashes.append(plan.PasswordHash(name=entry.name, hash=text))
            continue
        digest = _digest(entry.password, entry.sha256, f"{entry.name}:", "password", at, work)
        names.check(entry.name, digest, index)
        users.append(plan.BasicUser(name=entry.name, sha256=digest))
    if written.file is not None:
        hashes += lower_htpasswd(written.file, set(names.names), (*path, "file"), work)
    return plan.Basic(realm=written.realm, users=users, hashes=hashes, strip=not written.forward)


def _digest(secret: Secret | None, sha256: str | None, before: str, called: str, path: Path, work: Work) -> str:
    if (secret is None) == (sha256 is None):
        what = f"`{called}` and `sha256` are both here" if secret is not None else f"`{called}` is missing"
        right = "keep one of them" if secret is not None else f'add `{called}: "${{NAME}}"` or `sha256: …`'
        work.error(path, what, right)
    return secret.sha256(before) if secret is not None else sha256 or ""


class _Once:
    """Sees to it that a name, and a secret, stands for one."""

    def __init__(self, called: str, path: Path, key: str, work: Work) -> None:
        self.called = called
        self.path = (*path, key)
        self.work = work
        self.names: dict[str, int] = {}
        self.digests: dict[str, str] = {}

    def check(self, name: str, digest: str, index: int) -> None:
        at = (*self.path, index)
        if not name:
            self.work.error((*at, "name"), "the name is empty", "write what the log shall call it")
        elif name in self.names:
            there = self.work.place((*self.path, self.names[name]))
            self.work.error(
                (*at, "name"), f"`{name}` is already the name of the {self.called} at {there}", "give it another"
            )
        elif digest and digest in self.digests:
            self.work.error(at, f"this is the same {self.called} as `{self.digests[digest]}`", "keep one of them")
        self.names.setdefault(name, index)
        self.digests.setdefault(digest, name)
