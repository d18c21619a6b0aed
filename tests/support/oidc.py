"""A small OpenID provider: it lets everybody in whom the test names, and signs real tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from tests.support.http import Request
from tests.support.issuer import Key
from tests.support.upstream import Peer


class OpenIdProvider:
    """Answers for an `Upstream`; `authorize` stands in for the person at the login page."""

    def __init__(self, client_id: str = "web", client_secret: str | None = "hush") -> None:
        self.key = Key("RS256")
        self.client_id = client_id
        self.client_secret = client_secret
        self.url = ""
        self.claims: dict[str, Any] = {"sub": "u-1", "email": "ann@example.com", "org": {"id": 7}}
        self.change: dict[str, Any] = {}
        """What the next ID tokens say otherwise."""
        self.lasts_s = 3600
        self.refreshes = True
        self.down = False
        self.asked: list[dict[str, str]] = []
        """What came to the token endpoint."""
        self._codes: dict[str, dict[str, str]] = {}
        self._refresh_tokens: set[str] = set()

    def authorize(self, location: str) -> str:
        """Where the browser is sent back to, once the person has logged in."""
        where = urlsplit(location)
        told = {name: values[0] for name, values in parse_qs(where.query, strict_parsing=True).items()}
        assert location.startswith(f"{self.url}/authorize?"), location
        assert (told["response_type"], told["client_id"]) == ("code", self.client_id)
        assert told["code_challenge_method"] == "S256"
        assert "openid" in told["scope"].split()
        code = secrets.token_urlsafe(8)
        self._codes[code] = told
        return f"{told['redirect_uri']}?{urlencode({'code': code, 'state': told['state']})}"

    def answer(self, request: Request, peer: Peer) -> None:
        if self.down:
            peer.respond(503, b"down")
            return
        path = request.target.partition("?")[0]
        if path == "/.well-known/openid-configuration":
            self._json(peer, self._metadata())
        elif path == "/jwks":
            self._json(peer, {"keys": [self.key.jwk]})
        elif path == "/token":
            status, told = self._token(request)
            self._json(peer, told, status)
        else:
            peer.respond(404, b"")

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "end_session_endpoint": f"{self.url}/logout",
            "jwks_uri": f"{self.url}/jwks",
        }

    def _token(self, request: Request) -> tuple[int, dict[str, Any]]:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        self.asked.append(form)
        if not self._is_client(request, form):
            return 401, {"error": "invalid_client"}
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] not in self._refresh_tokens:
                return 400, {"error": "invalid_grant"}
            self._refresh_tokens.discard(form["refresh_token"])
            return 200, self._tokens(None)
        begun = self._codes.pop(form.get("code", ""), None)
        if begun is None or begun["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != begun["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        return 200, self._tokens(begun["nonce"])

    def _is_client(self, request: Request, form: dict[str, str]) -> bool:
        if self.client_secret is None:
            return form.get("client_id") == self.client_id
        kind, _, text = (request.fields.get("Authorization") or "").partition(" ")
        name, _, secret = base64.b64decode(text).decode().partition(":")
        return (kind, unquote(name), unquote(secret)) == ("Basic", self.client_id, self.client_secret)

    def _tokens(self, nonce: str | None) -> dict[str, Any]:
        now = int(time.time())
        said = {**self.claims, "iss": self.url, "aud": self.client_id, "iat": now, "exp": now + self.lasts_s}
        if nonce is not None:
            said["nonce"] = nonce
        made = {"access_token": "opaque", "token_type": "Bearer", "expires_in": self.lasts_s}
        made["id_token"] = self.key.token({**said, **self.change})
        if self.refreshes:
            made["refresh_token"] = secrets.token_urlsafe(16)
            self._refresh_tokens.add(str(made["refresh_token"]))
        return made

    def revoke(self) -> None:
        """No session goes on."""
        self._refresh_tokens.clear()

    @staticmethod
    def _json(peer: Peer, told: Any, status: int = 200) -> None:
        peer.respond(status, json.dumps(told).encode(), "Content-Type: application/json")


class Browser:
    """What a browser does with cookies and redirects, as far as these tests go."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.cookies: dict[str, str] = {}
        self.set: list[str] = []

    def get(self, target: str, *, method: str = "GET", **headers: str) -> Any:
        from tests.support.client import once

        brought = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        fields = {"Accept": "text/html", **({"Cookie": brought} if brought else {}), **headers}
        answer = once(self.address, method, target, fields)
        for line in answer.fields.all("Set-Cookie"):
            self.set.append(line)
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            if "Max-Age=0" in attributes:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer
