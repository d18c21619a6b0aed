"""An issuer of tokens: keys of every kind, tokens that they sign, and the JWK Set that a test wants told."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from tests.support.http import Request
from tests.support.upstream import Peer

_HASHES: dict[str, Any] = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
_CURVES = {"ES256": (ec.SECP256R1, "P-256", 32), "ES384": (ec.SECP384R1, "P-384", 48)}


def b64(data: bytes) -> str:
    """base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """One key that signs by one algorithm."""

    def __init__(self, algorithm: str = "RS256", kid: str | None = "one", secret: bytes = b"") -> None:
        self.algorithm = algorithm
        self.kid = kid
        self._private: Any = secret
        if algorithm[:2] in ("RS", "PS"):
            self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        elif algorithm in _CURVES:
            self._private = ec.generate_private_key(_CURVES[algorithm][0]())
        elif algorithm == "EdDSA":
            self._private = ed25519.Ed25519PrivateKey.generate()

    def token(self, claims: dict[str, Any] | None = None, /, header: dict[str, Any] | None = None, **more: Any) -> str:
        """A token that expires in a while, unless it says otherwise; `None` leaves a claim out."""
        said = {"sub": "ann", "exp": int(time.time()) + 600, **(claims or {}), **more}
        said = {name: value for name, value in said.items() if value is not None}
        about = {"alg": self.algorithm, "typ": "JWT", **({"kid": self.kid} if self.kid else {}), **(header or {})}
        message = ".".join(b64(json.dumps(part, separators=(",", ":")).encode()) for part in (about, said))
        return f"{message}.{b64(self.sign(message.encode()))}"

    def sign(self, message: bytes) -> bytes:
        """The signature as tokens have it (RFC 7518 §3)."""
        kind, digest = self.algorithm[:2], _HASHES.get(self.algorithm[2:], hashes.SHA256)()
        if kind == "HS":
            return hmac.digest(self._private, message, f"sha{self.algorithm[2:]}")
        if kind == "RS":
            return bytes(self._private.sign(message, padding.PKCS1v15(), digest))
        if kind == "PS":
            pss = padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)
            return bytes(self._private.sign(message, pss, digest))
        if kind == "ES":
            r, s = utils.decode_dss_signature(self._private.sign(message, ec.ECDSA(digest)))
            size = _CURVES[self.algorithm][2]
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        return bytes(self._private.sign(message))

    @property
    def jwk(self) -> dict[str, str]:
        """The public key (RFC 7517), or the secret."""
        made = {"use": "sig", "alg": self.algorithm, **({"kid": self.kid} if self.kid else {})}
        if self.algorithm.startswith("HS"):
            return {**made, "kty": "oct", "k": b64(self._private)}
        public = self._private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            return {**made, "kty": "RSA", "n": b64(_number(numbers.n)), "e": b64(_number(numbers.e))}
        if isinstance(public, ec.EllipticCurvePublicKey):
            point = public.public_numbers()
            _, name, size = _CURVES[self.algorithm]
            x, y = (b64(value.to_bytes(size, "big")) for value in (point.x, point.y))
            return {**made, "kty": "EC", "crv": name, "x": x, "y": y}
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {**made, "kty": "OKP", "crv": "Ed25519", "x": b64(raw)}

    @property
    def pem(self) -> str:
        """The public key as `openssl` writes it."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return str(self._private.public_key().public_bytes(serialization.Encoding.PEM, form).decode())

    @property
    def private_pem(self) -> str:
        """What nobody should hand to a gateway."""
        form = serialization.PrivateFormat.PKCS8
        none = serialization.NoEncryption()
        return str(self._private.private_bytes(serialization.Encoding.PEM, form, none).decode())


class Issuer:
    """Answers for an `Upstream`: publishes keys, or garbage, or nothing, as the test goes on."""

    def __init__(self, *keys: Key, control: str | None = None) -> None:
        self.keys = list(keys)
        self.control = control
        self.status = 200
        self.garbage: bytes | None = None
        self.url = ""

    @property
    def jwks(self) -> bytes:
        return json.dumps({"keys": [key.jwk for key in self.keys]}).encode()

    def answer(self, request: Request, peer: Peer) -> None:
        fields = [f"Cache-Control: {self.control}"] if self.control else []
        body = self.jwks if self.garbage is None else self.garbage
        if request.target.endswith("/.well-known/openid-configuration") and self.garbage is None:
            body = json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}).encode()
        peer.respond(self.status, body, "Content-Type: application/json", *fields)


def _number(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
