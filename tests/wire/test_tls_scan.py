"""A TLS listener as a scanner sees it: sslyze finds nothing."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Start
from tests.support.certificates import Authority
from tests.support.clients import python_of
from tests.support.tls import SITE

pytestmark = pytest.mark.timeout(180)

OLD = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1")


@pytest.mark.parametrize(("profile", "kind"), [("intermediate", "rsa"), ("intermediate", "ecdsa"), ("modern", "ecdsa")])
def test_sslyze_has_no_finding(start: Start, tmp_path: Path, profile: str, kind: str) -> None:
    authority = Authority(tmp_path)
    tls = {"certificates": [authority.sign(SITE, kind=kind).entry], "profile": profile, "hsts": True}
    gateway = start({"listeners": [{"address": "127.0.0.1:0", "tls": tls}], "routes": [{"respond": 200}]})
    found = scan(gateway.address, authority.file)
    for version in OLD:
        assert not accepted(found, version), version
    assert accepted(found, "tls_1_3") == {
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    }
    second = accepted(found, "tls_1_2")
    assert bool(second) == (profile == "intermediate")
    signature = "ECDSA" if kind == "ecdsa" else "RSA"
    assert all(suite.startswith(f"TLS_ECDHE_{signature}_") for suite in second)
    assert all("GCM" in suite or "CHACHA20" in suite for suite in second)
    assert found["heartbleed"]["is_vulnerable_to_heartbleed"] is False
    assert found["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"] is False
    assert found["robot"]["robot_result"].startswith("NOT_VULNERABLE")
    assert found["tls_compression"]["supports_compression"] is False
    assert found["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"] is False
    assert found["tls_1_3_early_data"]["supports_early_data"] is False
    if profile == "intermediate":
        assert found["session_renegotiation"]["supports_secure_renegotiation"] is True
        assert found["tls_extended_master_secret"]["supports_ems_extension"] is True
    (deployment,) = found["certificate_info"]["certificate_deployments"]
    trusted = [path for path in deployment["path_validation_results"] if path["was_validation_successful"]]
    assert trusted, [path["validation_error"] for path in deployment["path_validation_results"]]
    assert deployment["received_chain_has_valid_order"] is True
    assert found["http_headers"]["strict_transport_security_header"]["max_age"] == 31_536_000


def scan(address: str, ca: str) -> dict[str, Any]:
    """What each of sslyze's commands found; the scan itself must have gone well."""
    python = python_of("sslyze")
    command = [python, "-m", "sslyze", f"{SITE}:{address.rpartition(':')[2]}{{127.0.0.1}}"]
    command += ["--json_out=-", f"--certinfo_ca_file={ca}", "--http_headers", *COMMANDS]
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    done = subprocess.run(command, capture_output=True, text=True, env=kept, timeout=150, check=False)
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    (result,) = json.loads(done.stdout)["server_scan_results"]
    assert result["scan_status"] == "COMPLETED", result
    found: dict[str, Any] = {}
    for name, attempt in result["scan_result"].items():
        if attempt["status"] == "NOT_SCHEDULED":
            continue
        assert attempt["status"] == "COMPLETED", (name, attempt)
        found[name] = attempt["result"]
    return found


COMMANDS = (
    "--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3", "--certinfo", "--heartbleed",
    "--openssl_ccs", "--robot", "--compression", "--reneg", "--early_data", "--ems", "--resum", "--fallback",
)  # fmt: skip


def accepted(found: dict[str, Any], version: str) -> set[str]:
    suites = found[f"{version}_cipher_suites"]["accepted_cipher_suites"]
    return {one["cipher_suite"]["name"] for one in suites}
