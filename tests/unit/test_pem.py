"""Public keys in PEM become the JSON Web Keys that they are."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.support.issuer import Key

from tidegate.lower.pem import NoKey, jwk_of_pem


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES384", "EdDSA"])
def test_a_key_is_read_as_what_it_is(algorithm: str) -> None:
    key = Key(algorithm)
    expected = {name: value for name, value in key.jwk.items() if name not in ("use", "alg", "kid")}
    assert jwk_of_pem("comment\n" + key.pem + "more\n") == expected


def test_the_older_form_of_rsa_keys_is_read() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PublicFormat.PKCS1
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
    assert jwk_of_pem(pem)["kty"] == "RSA"


def test_what_is_no_public_key_is_told() -> None:
    key = Key("ES256")
    for text, why in (
        ("", "there is no PEM block"),
        (key.private_pem, "this is a private key"),
        (key.pem.replace("PUBLIC KEY", "CERTIFICATE"), "this is a certificate"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "this is no RSA"),
        ("-----BEGIN PUBLIC KEY-----\nMA==\n-----END PUBLIC KEY-----", "this is no RSA"),
    ):
        with pytest.raises(NoKey) as wrong:
            jwk_of_pem(text)
        assert why in wrong.value.what


def test_a_key_that_is_cut_anywhere_is_none() -> None:
    lines = Key("RS256").pem.splitlines()
    for count in range(1, len(lines) - 1):
        text = "\n".join([*lines[:count], lines[-1]])
        with pytest.raises(NoKey):
            jwk_of_pem(text)
