"""What is wrong with the certificates of listeners is told; what is only unwise keeps nobody from starting."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from tests.support.certificates import DAY, NOW, Authority, Signed
from tests.unit.told import lowered, told


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def text(certificate: str = "{cert: site.pem, key: site.key}", more: str = "") -> str:
    return (
        f"listeners: [{{address: ':443', tls: {{certificates: [{certificate}]{more}}}}}]\nroutes: [{{respond: 204}}]\n"
    )


def place(word: str, whole: str) -> str:
    """Where a value stands in the first line."""
    return f"t.yaml:1:{whole.index(word) + 1}: "


def warned(whole: str) -> list[str]:
    return [str(warning).replace(" warning: ", " ", 1) for warning in lowered(whole).warnings]


def test_a_good_certificate_is_told_nothing_of(authority: Authority) -> None:
    authority.sign("site.test", stem="site")
    made = lowered(text())
    assert made.warnings == []
    assert [Path(file).name for file in made.files] == ["site.pem", "site.key"]


def test_a_file_that_is_not_there_is_named(authority: Authority) -> None:
    whole = text()
    assert told(whole) == (
        place("site.pem", whole)
        + "`site.pem` can't be read: No such file or directory; see that it is there and may be read"
    )
    authority.sign("site.test", stem="site")
    Path("site.key").unlink()
    assert told(whole).startswith(place("site.key", whole) + "`site.key` can't be read: No such file")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"-----BEGIN NOTHING-----\n", "`site.pem` has no certificate in it; name a file with certificates in PEM"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "`site.pem` is no certificate; name a file with certificates in PEM",
        ),
        (b"PK\x03\x04", "`site.pem` is no PEM; name certificates in PEM, or leave `key` out for PKCS#12"),
        (b"-----BEGIN" + b"x" * 2_000_000, "`site.pem` is too large to be what it should be; name the right file"),
    ],
)
def test_a_file_that_is_no_certificate_is_told(authority: Authority, content: bytes, what: str) -> None:
    authority.sign("site.test", stem="site")
    Path("site.pem").write_bytes(content)
    whole = text()
    assert told(whole) == place("site.pem", whole) + what


def test_a_key_of_another_certificate_is_told(authority: Authority) -> None:
    authority.sign("site.test", stem="site")
    Path("site.key").write_bytes(authority.sign("other.test").key_pem())
    whole = text()
    assert told(whole) == (
        place("site.key", whole)
        + "the key does not belong to the certificate in `site.pem`; name the key that it was made for"
    )


def test_a_missing_key_a_locked_one_and_a_wrong_password_are_told(authority: Authority) -> None:
    signed = authority.sign("site.test", stem="site")
    whole = text("{cert: site.pem}")
    assert told(whole) == place("site.pem", whole) + "`site.pem` has no key in it; name the file with the key as `key`"
    Path("site.key").write_bytes(signed.key_pem(password=b"sesame"))
    whole = text()
    assert told(whole) == (
        place("site.key", whole) + 'the key in `site.key` is encrypted; add `password: "${KEY_PASSWORD}"`'
    )
    whole = text('{cert: site.pem, key: site.key, password: "guess"}')
    assert told(whole) == (
        place('"guess"', whole) + "the password does not open the key in `site.key`; write the right one"
    )


def test_a_password_that_nothing_needs_does_no_harm(authority: Authority) -> None:
    authority.sign("site.test", stem="site")
    assert told(text("{cert: site.pem, key: site.key, password: spare}")) == ""


def test_pkcs12_needs_its_password(authority: Authority) -> None:
    authority.sign("site.test", stem="site").pkcs12(b"sesame")
    whole = text("{cert: site.p12}")
    assert told(whole) == (
        place("site.p12", whole) + 'a password is needed for `site.p12`; write it as `password: "${NAME}"`'
    )
    whole = text("{cert: site.p12, password: guess}")
    assert told(whole) == (
        place("guess", whole) + 'the password does not open `site.p12`; write it as `password: "${NAME}"`'
    )
    assert told(text("{cert: site.p12, password: sesame}")) == ""
    Path("site.p12").write_bytes(b"PK\x03\x04")
    whole = text("{cert: site.p12, password: sesame}")
    assert told(whole) == place("site.p12", whole) + "`site.p12` is neither PEM nor PKCS#12; name the right file"


@pytest.mark.parametrize(
    ("key", "what"),
    [
        (rsa.generate_private_key(public_exponent=65537, key_size=1024), "has 1024 bits only"),
        (dsa.generate_private_key(1024), "is of a kind that TLS does not use"),
    ],
    ids=["rsa-1024", "dsa"],
)
def test_keys_that_nobody_should_use_are_refused(
    authority: Authority, key: rsa.RSAPrivateKey | dsa.DSAPrivateKey, what: str
) -> None:
    authority.sign("site.test", stem="site")
    form = serialization.PrivateFormat.PKCS8
    Path("site.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    assert f"the key in `site.key` {what}; make one by ECDSA on P-256" in told(text())


def test_a_certificate_that_is_over_or_not_yet_good_is_a_warning(authority: Authority) -> None:
    """The next start may be at night, and other names are served by other certificates."""
    whole = text()
    before = place("site.pem", whole)
    past = NOW - 3 * DAY
    authority.sign("site.test", stem="site", since=past - DAY, until=past)
    assert warned(whole) == [f"{before}`site.pem` has expired on {past:%Y-%m-%d}; renew it"]
    later = NOW + DAY
    authority.sign("site.test", stem="site", since=later)
    assert warned(whole) == [
        f"{before}`site.pem` is not valid before {later:%Y-%m-%d %H:%M} UTC; see that the clock is right"
    ]
    soon = NOW + 3 * DAY
    authority.sign("site.test", stem="site", since=NOW - 80 * DAY, until=soon)
    assert warned(whole) == [f"{before}`site.pem` expires on {soon:%Y-%m-%d}; renew it"]


def test_chains_that_clients_stumble_over_are_told(authority: Authority, tmp_path: Path) -> None:
    between = Authority(tmp_path, "Between CA", above=authority)
    whole = text()
    before = place("site.pem", whole)
    between.sign("site.test", stem="site", chain="reversed")
    assert warned(whole) == [
        before
        + "the chain in `site.pem` is out of order; it is sent in order; write each certificate before its issuer"
    ]
    between.sign("site.test", stem="site", chain="leaf", issuer_url=True)
    assert warned(whole) == [
        before + "the chain in `site.pem` is incomplete: `Between CA` is missing; "
        "append the intermediate certificates (`fullchain.pem`)"
    ]
    signed = between.sign("site.test", stem="site")
    stranger = Authority(tmp_path, "Stranger CA")
    Signed(tmp_path, "site", [*signed.chain, stranger.certificate], signed.certificate, signed.key)
    assert warned(whole) == [
        before + "`site.pem` holds `Stranger CA`, by which nothing in the chain is signed; leave it out"
    ]
    twin = Authority(tmp_path, "Between CA", above=authority)
    Signed(tmp_path, "site", [signed.certificate, twin.certificate], signed.certificate, signed.key)
    assert warned(whole) == [before + "`Between CA` has not signed `site.test`; put the right chain together"]


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ((), "`site.pem` bears no name: clients look at `subjectAltName` only"),
        (("*.test",), "`*.test` is taken by no browser: a star needs two labels behind it"),
        (("www.*.site.test",), "`www.*.site.test` stands for nothing: a star is the whole first label"),
        (("w*.site.test",), "`w*.site.test` stands for nothing: a star is the whole first label"),
    ],
)
def test_names_that_nobody_takes_are_told(authority: Authority, names: tuple[str, ...], what: str) -> None:
    authority.sign(*names, stem="site")
    whole = text()
    (only,) = warned(whole)
    assert only.startswith(place("site.pem", whole) + what)


def test_a_name_twice_with_keys_of_one_kind_is_told(authority: Authority) -> None:
    authority.sign("site.test", stem="site")
    authority.sign("site.test", "more.test", stem="other")
    authority.sign("site.test", stem="rsa", kind="rsa")
    both = "{cert: site.pem, key: site.key}, {cert: rsa.pem, key: rsa.key}"
    assert warned(text(both)) == [], "one of each kind is how it should be"
    whole = text(f"{both}, {{cert: other.pem, key: other.key}}")
    (only,) = warned(whole)
    assert re.fullmatch(
        re.escape(place("other.pem", whole))
        + r"`site\.test` is already borne by the certificate at t\.yaml:1:\d+, which is shown; leave one of them out",
        only,
    )


def test_a_certificate_that_is_not_for_servers_is_told(authority: Authority) -> None:
    authority.sign("site.test", stem="site", client=True)
    assert "`site.pem` is not one for servers; have it made with the usage `serverAuth`" in warned(text())[0]


def test_ocsp_answers_are_looked_over(authority: Authority) -> None:
    signed = authority.sign("site.test", stem="site")
    certificate = "{cert: site.pem, key: site.key, ocsp: site.ocsp}"
    whole = text(certificate)
    before = place("site.ocsp", whole)
    authority.staple(signed)
    assert warned(whole) == []
    assert lowered(whole).plan.listeners[0].tls.certificates[0].ocsp  # type: ignore[union-attr]
    authority.staple(signed, until=NOW - DAY)
    assert warned(whole)[0].startswith(before + "`site.ocsp` has expired on ")
    assert lowered(whole).plan.listeners[0].tls.certificates[0].ocsp == ""  # type: ignore[union-attr]
    other = authority.sign("other.test", stem="site")
    assert told(whole) == before + "`site.ocsp` is about another certificate; fetch the answer anew"
    assert other.stem == "site"
    Path("site.ocsp").write_bytes(b"nothing")
    assert told(whole) == before + "`site.ocsp` is no OCSP answer; name a file with one in DER"


def test_authorities_of_clients_are_looked_over(authority: Authority) -> None:
    authority.sign("site.test", stem="site")
    whole = text(more=", client: {ca: missing.pem}")
    assert told(whole).startswith(place("missing.pem", whole) + "`missing.pem` can't be read")
    Path("missing.pem").write_text("nothing")
    assert told(whole).startswith(place("missing.pem", whole) + "`missing.pem` has no certificate in it")
    assert told(text(more=f", client: {{ca: {authority.file}}}")) == ""


@pytest.mark.parametrize(
    ("more", "word", "what"),
    [
        (", tickets: 30s", "30s", "`30s` is out of bounds; write `1m` to `12h`, or `off`"),
        (", tickets: 24h", "24h", "`24h` is out of bounds; write `1m` to `12h`, or `off`"),
        (", hsts: {max_age: 100000d}", "100000d", "`100000d` will not do here; write whole seconds up to 68 years"),
        (", profile: old", "old", "`old` is not one of the values here; write `intermediate` or `modern`"),
    ],
)
def test_values_out_of_bounds_are_told(authority: Authority, more: str, word: str, what: str) -> None:
    authority.sign("site.test", stem="site")
    whole = text(more=more)
    assert told(whole).startswith(place(word, whole) + what), told(whole)


def test_a_policy_that_no_list_takes_is_told(authority: Authority) -> None:
    authority.sign("site.test", stem="site")
    (only,) = warned(text(more=", hsts: {preload: on}"))
    assert "the preload lists take no such policy" in only


def test_a_listener_has_tls_or_sends_there(authority: Authority) -> None:
    authority.sign("site.test", stem="site")
    whole = (
        "listeners: [{address: ':443', tls: {certificates: [{cert: site.pem, key: site.key}]}, redirect_https: on}]\n"
        "routes: [{respond: 204}]\n"
    )
    assert "what comes here comes by TLS already; leave `tls` or `redirect_https` out" in told(whole)


def test_no_key_is_ever_printed(authority: Authority) -> None:
    signed = authority.sign("site.test", stem="site")
    made = lowered(text())
    secret = signed.key_pem().decode().splitlines()[1]
    assert secret.encode() in made.bytes, "the engine gets it"
    assert secret not in repr(made.plan)
    import msgspec

    from tidegate.admin.redact import redacted

    assert secret not in repr(redacted(msgspec.json.decode(made.bytes)))
