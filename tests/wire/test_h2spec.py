"""h2spec, strict, over TLS: every rule of HTTP/2 that it checks holds at a gateway that passes requests on."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from tests.conftest import ROOT, Serve, Start
from tests.support.certificates import Authority
from tests.support.http import Request
from tests.support.tls import SITE
from tests.support.upstream import Peer

pytestmark = pytest.mark.timeout(300)

CASES = 146
"""Those of the release that `tools/h2spec` builds, with the strict ones."""


def lengthy(request: Request, peer: Peer) -> None:
    """Enough for every window that h2spec makes too small."""
    peer.respond(200, b"0123456789" * 20)


def test_h2spec_finds_nothing_in_what_is_passed_on(start: Start, serve: Serve, tmp_path: Path) -> None:
    """Over TLS: without it, what does not begin with the preface is a request of HTTP/1.1, and answered as one."""
    built = subprocess.run([str(ROOT / "tools/h2spec")], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    tls = {"certificates": [Authority(tmp_path).sign(SITE).entry]}
    gateway = start(
        {
            "listeners": [{"address": "127.0.0.1:0", "tls": tls}],
            "routes": [{"upstream": "up"}],
            "upstreams": {"up": {"endpoints": [serve(lengthy).url]}},
        }
    )
    report = tmp_path / "report.xml"
    port = gateway.address.rpartition(":")[2]
    command = [built.stdout.strip(), "-S", "-t", "-k", "-o", "5", "-h", "127.0.0.1", "-p", port, "-j", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert report.exists(), done.stdout + done.stderr
    cases = list(ET.parse(report).getroot().iter("testcase"))
    wrong = [
        f"{case.get('package')} {case.get('classname')}: {''.join(case.itertext()).strip()}"
        for case in cases
        if any(part.tag in {"failure", "error", "skipped"} for part in case)
    ]
    assert not wrong, "\n".join(wrong)
    assert len(cases) == CASES
    assert done.returncode == 0, done.stdout
