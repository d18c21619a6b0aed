"""Public keys in PEM (RFC 7468) as JSON Web Keys, which is all that the engine reads."""

from __future__ import annotations

import base64
import binascii
import re

__all__ = ["NoKey", "jwk_of_pem"]

_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----([A-Za-z0-9+/=\s]+)-----END \1-----")
_RSA = "2a864886f70d010101"
_EC = "2a8648ce3d0201"
_ED25519 = "2b6570"
_CURVES = {"2a8648ce3d030107": ("P-256", 32), "2b81040022": ("P-384", 48), "2b81040023": ("P-521", 66)}
_SEQUENCE, _INTEGER, _BITS, _NAME = 0x30, 0x02, 0x03, 0x06


class NoKey(ValueError):
    """Why a text is no public key, and what would be right."""

    def __init__(self, what: str, right: str) -> None:
        super().__init__(what)
        self.what = what
        self.right = right


def jwk_of_pem(text: str) -> dict[str, str]:
    """The key of `-----BEGIN PUBLIC KEY-----`; raises NoKey."""
    found = _BLOCK.search(text)
    right = "write a public key: `openssl pkey -in private.pem -pubout`"
    if found is None:
        raise NoKey("there is no PEM block in it", right)
    kind = found[1]
    if "PRIVATE" in kind:
        raise NoKey("this is a private key, which Tidegate must not have", right)
    if kind not in ("PUBLIC KEY", "RSA PUBLIC KEY"):
        raise NoKey(f"this is a {kind.lower()}", "write its public key: `openssl x509 -in cert.pem -pubkey -noout`")
    try:
        der = base64.b64decode("".join(found[2].split()), validate=True)
        return _rsa(der) if kind == "RSA PUBLIC KEY" else _subject(der)
    except (binascii.Error, IndexError, KeyError, ValueError) as error:
        if isinstance(error, NoKey):
            raise
        raise NoKey("this is no RSA, P-256, P-384, P-521 or Ed25519 key", right) from error


def _subject(der: bytes) -> dict[str, str]:
    """RFC 5280 §4.1.2.7: an algorithm, and the key in its own form."""
    whole, _ = _take(der, _SEQUENCE)
    algorithm, rest = _take(whole, _SEQUENCE)
    name, parameters = _take(algorithm, _NAME)
    bits, _ = _take(rest, _BITS)
    key = bits[1:]
    match name.hex():
        case x if x == _RSA:
            return _rsa(key)
        case x if x == _EC:
            curve, size = _CURVES[_take(parameters, _NAME)[0].hex()]
            if key[:1] != b"\x04" or len(key) != 1 + 2 * size:
                raise ValueError("not an uncompressed point")
            return {"kty": "EC", "crv": curve, "x": _text(key[1 : 1 + size]), "y": _text(key[1 + size :])}
        case x if x == _ED25519 and len(key) == 32:
            return {"kty": "OKP", "crv": "Ed25519", "x": _text(key)}
    raise ValueError("another algorithm")


def _rsa(der: bytes) -> dict[str, str]:
    """RFC 8017 §A.1.1: the modulus and the exponent."""
    numbers, _ = _take(der, _SEQUENCE)
    n, rest = _take(numbers, _INTEGER)
    e, _ = _take(rest, _INTEGER)
    return {"kty": "RSA", "n": _text(n.lstrip(b"\0")), "e": _text(e.lstrip(b"\0"))}


def _take(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """What an element of that kind holds, and what stands behind it (X.690 §8.1)."""
    if der[0] != tag:
        raise ValueError("another element")
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    if start + length > len(der):
        raise ValueError("cut")
    return der[start : start + length], der[start + length :]


def _text(number: bytes) -> str:
    return base64.urlsafe_b64encode(number).rstrip(b"=").decode()
