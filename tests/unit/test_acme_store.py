"""What ACME keeps on disk: whole or not at all, for nobody else's eyes, one process at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.certificates import Authority, pem

from tidegate.acme.schedule import Reason, Record
from tidegate.acme.store import Store, StoreError
from tidegate.lower.acme import Order

ORDER = Order(
    name="acme:a.example",
    domains=("a.example",),
    directory="https://ca.test/dir",
    email=None,
    ca=None,
    challenge="http-01",
    key="ecdsa",
    eab=None,
)


def test_what_is_kept_is_found_again_and_is_ours_alone(tmp_path: Path) -> None:
    store, signed = Store(str(tmp_path)), Authority(tmp_path).sign("a.example")
    assert store.certificate(ORDER) is None
    before = store.signature([ORDER])
    chain, key = b"".join(map(pem, signed.chain)).decode(), signed.key_pem().decode()
    store.keep_certificate(ORDER, chain, key)
    kept = store.certificate(ORDER)
    assert kept is not None
    assert (kept.chain, kept.names) == (chain, ("a.example",))
    assert kept.term.until_s == signed.certificate.not_valid_after_utc.timestamp()
    assert store.signature([ORDER]) != before
    record = Record(asked="x", failures=2, reason=Reason.REFUSED, error="no", not_before_s=12.5, failed=[1.0])
    store.keep_record(ORDER, record)
    assert store.record(ORDER) == record
    store.keep_account(ORDER.directory, {"uri": "https://ca.test/1", "key": {}})
    assert store.account(ORDER.directory)["uri"] == "https://ca.test/1"
    for path in (tmp_path / "acme").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_each_directory_and_each_kind_of_key_has_its_own(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.keep_record(ORDER, Record(failures=1))
    others = [ORDER._replace(directory="https://ca.test/staging"), ORDER._replace(name="acme:a.example/rsa", key="rsa")]
    assert [store.record(other).failures for other in others] == [0, 0]


@pytest.mark.parametrize("content", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n"])
def test_a_broken_certificate_is_told_and_asked_for_anew(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(str(tmp_path))
    store.keep_record(ORDER, Record())
    next((tmp_path / "acme").glob("*/*.json")).with_suffix(".pem").write_bytes(content)
    assert store.certificate(ORDER) is None
    assert "holds no certificate with its key" in capsys.readouterr().err


def test_a_key_of_another_certificate_is_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, authority = Store(str(tmp_path)), Authority(tmp_path)
    chain = b"".join(map(pem, authority.sign("a.example").chain)).decode()
    store.keep_certificate(ORDER, chain, authority.sign("b.example").key_pem().decode())
    assert store.certificate(ORDER) is None
    assert "the key does not belong to the certificate" in capsys.readouterr().err


def test_a_broken_record_forgets_waits_but_a_broken_account_is_no_reason_for_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(str(tmp_path))
    store.keep_record(ORDER, Record(failures=3))
    next((tmp_path / "acme").glob("*/*.json")).write_text("{")
    assert store.record(ORDER) == Record()
    assert "can't be read" in capsys.readouterr().err
    store.keep_account(ORDER.directory, {})
    next((tmp_path / "acme").glob("*/account.json")).write_text("{")
    with pytest.raises(StoreError, match=r"the account in .* can't be read"):
        store.account(ORDER.directory)


def test_one_asks_at_a_time(tmp_path: Path) -> None:
    one, other = Store(str(tmp_path)), Store(str(tmp_path))
    with one.turn() as first, other.turn() as second:
        assert (first, second) == (True, False)
    with other.turn() as again:
        assert again


def test_a_folder_that_cant_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "acme").write_text("in the way")
    store = Store(str(tmp_path))
    with pytest.raises(StoreError, match="acme"):
        store.keep_record(ORDER, Record())
    with pytest.raises(StoreError, match="acme"), store.turn():
        pass
