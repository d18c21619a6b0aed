"""Certificates that change while the gateway runs, those that are bad, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Start
from tests.support.certificates import DAY, NOW, Authority, replace
from tests.support.gateway import Tidegate, command
from tests.support.tls import SITE, Secure, context, serial
from tests.support.waiting import until


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def serving(*entries: dict[str, Any], **tls: Any) -> dict[str, Any]:
    listener = {"address": "127.0.0.1:0", "name": "site", "tls": {"certificates": [*entries], **tls}}
    return {"listeners": [listener], "routes": [{"respond": 200}]}


def shows(gateway: Tidegate, number: int) -> None:
    until(lambda: serial(gateway.address) == number, "the other certificate")


def test_a_renewed_certificate_is_shown_and_connections_stay(start: Start, authority: Authority) -> None:
    signed = authority.sign(SITE)
    gateway = start(serving(signed.entry), watch=True)
    with Secure(gateway.address, context(authority.file)) as kept:
        assert kept.request().status == 200
        renewed = authority.sign(SITE)
        shows(gateway, renewed.serial)
        assert kept.request().status == 200
        assert kept.certificate.serial_number == signed.serial
    gateway.said.wait(r"reloaded \(its files changed\)")


def test_a_bad_file_keeps_the_old_one_and_is_told_everywhere(start: Start, authority: Authority) -> None:
    signed = authority.sign(SITE)
    gateway = start(serving(signed.entry), watch=True)
    good = Path(signed.cert_file).read_bytes()
    replace(signed.cert_file, b"-----BEGIN CERTIFICATE-----\nbroken")
    gateway.said.wait(r"reload \(its files changed\) refused, generation 1 stays")
    gateway.said.wait(r"tidegate\.yaml:\d+:\d+: `.*site\.test\.pem` is no certificate")
    assert serial(gateway.address) == signed.serial
    reloads = gateway.status()["reloads"]
    assert reloads["failed"] == 1
    assert "is no certificate" in reloads["last_error"]
    replace(signed.cert_file, good)
    until(lambda: gateway.status()["reloads"]["last_error"] is None, "the good one is taken")


def test_a_key_that_comes_before_its_certificate_is_waited_for(start: Start, authority: Authority) -> None:
    """Tools that renew write two files, one after the other."""
    signed = authority.sign(SITE)
    gateway = start(serving(signed.entry), watch=True)
    old = Path(signed.cert_file).read_bytes()
    renewed = authority.sign(SITE)
    fresh = Path(renewed.cert_file).read_bytes()
    replace(signed.cert_file, old)
    gateway.said.wait("the key does not belong to the certificate")
    assert serial(gateway.address) == signed.serial
    replace(signed.cert_file, fresh)
    shows(gateway, renewed.serial)


def test_an_ocsp_answer_and_authorities_are_watched_too(start: Start, authority: Authority) -> None:
    signed = authority.sign(SITE)
    staple = authority.staple(signed)
    gateway = start(
        serving({**signed.entry, "ocsp": staple}, client={"ca": authority.file, "verify": "optional"}), watch=True
    )
    authority.staple(signed, until=NOW + 2 * DAY)
    gateway.said.wait(r"reloaded \(its files changed\): generation 2")
    replace(authority.file, b"nothing")
    gateway.said.wait(r"has no certificate in it")


def test_what_has_not_changed_is_no_reload(start: Start, authority: Authority) -> None:
    signed = authority.sign(SITE)
    config = serving(signed.entry)
    gateway = start(config)
    signed.write()
    assert "nothing has changed" in gateway.reload(config)


def test_status_and_metrics_say_when_certificates_expire(start: Start, authority: Authority) -> None:
    soon, later = authority.sign("soon.test", until=NOW + 3 * DAY), authority.sign("later.test", "*.later.test")
    past = authority.sign("past.test", until=NOW - DAY / 2)
    gateway = start(serving(soon.entry, later.entry, past.entry))
    gateway.said.wait("`.*past.test.pem` has expired on")
    shown = {one["name"]: one for one in gateway.status()["certificates"]}
    assert shown[later.cert_file]["names"] == ["later.test", "*.later.test"]
    assert shown[later.cert_file]["listener"] == "site"
    for signed in (soon, later, past):
        until_s = int(signed.certificate.not_valid_after_utc.timestamp())
        assert shown[signed.cert_file]["not_after_s"] == until_s
        labels = frozenset({("listener", "site"), ("name", signed.cert_file)})
        assert gateway.metrics().values["tidegate_certificate_expiry_seconds", labels] == until_s
    text = command(gateway.folder, "status", "-c", str(gateway.file)).stdout
    assert "CERTIFICATE OF" in text
    assert "EXPIRED" in text
    assert f"{NOW + 3 * DAY:%Y-%m-%d}, in 2d 23h" in text


def test_check_names_what_is_wrong_with_certificates(authority: Authority, tmp_path: Path) -> None:
    signed = authority.sign(SITE, until=NOW - DAY / 2)
    file = tmp_path / "tidegate.yaml"
    file.write_text(json.dumps(serving(signed.entry)))
    done = command(tmp_path, "check", "-c", str(file))
    assert done.returncode == 0, "an old certificate keeps nothing else from working"
    assert "has expired on" in done.stdout + done.stderr
    replace(signed.key_file, authority.sign("other.test").key_pem())
    done = command(tmp_path, "check", "-c", str(file))
    assert done.returncode == 1
    assert "the key does not belong to the certificate" in done.stderr + done.stdout


def test_a_start_on_the_last_good_plan_has_its_certificates(start: Start, authority: Authority) -> None:
    signed = authority.sign(SITE)
    gateway = start(serving(signed.entry))
    kept = gateway.state / "last-good.plan"
    until(kept.exists, "the plan is kept")
    assert kept.stat().st_mode & 0o077 == 0, "it holds the keys"
    gateway.stop()
    Path(signed.cert_file).unlink()
    again = start(None, folder=gateway.folder, arguments=("-c", str(gateway.file), "--last-good"))
    assert serial(again.address) == signed.serial


def test_keys_are_in_no_answer_of_the_admin_api(start: Start, authority: Authority) -> None:
    signed = authority.sign(SITE)
    gateway = start(serving(signed.entry))
    secret = signed.key_pem().splitlines()[1]
    for path in ("/plan", "/status", "/metrics", "/config"):
        assert secret not in gateway.control(path).body.replace(b"\\n", b"\n")
