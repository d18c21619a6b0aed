"""Within TLS 1.3: handshakes, requests on kept connections, connections that wait. One ECDSA key on P-256 for all."""

from __future__ import annotations

import datetime as dt
import json
import ssl
import sys
from dataclasses import replace

from bench.load import meter
from bench.load.client import Idlers, Request, finish_words, wrk
from bench.load.lab import Lab, Running
from bench.load.process import StartError
from bench.load.result import Result, Series
from bench.load.rounds import CONTROL, NGINX, TIDEGATE, closed_rounds, interleaved, note_disturbance
from bench.load.settings import REPOSITORY, Settings, raise_file_limit

_LISTENER = "    tls: {certificates: [{cert: @DIR@/site.pem, key: @DIR@/site.key}]}"
_CONTESTANTS = (
    replace(TIDEGATE, variant="tls", values={"LISTENER": _LISTENER}),
    replace(NGINX, variant="tls"),
    replace(CONTROL, variant="tls"),
)


def handshakes(settings: Settings) -> Result:
    """Full ones, and such as go on with an earlier session."""
    result = Result(
        "tls_handshakes",
        "TLS 1.3 handshakes",
        "Handshakes a CPU second, each on a connection of its own; ECDSA on P-256, group X25519 on both sides.",
    )
    with Lab(settings) as lab:
        placement = settings.placement(1)
        runnings = _start(lab)
        series = {running.name: Series(running.name) for running in runnings}
        for kind in ("full", "resumed"):
            for running in interleaved(runnings, settings.rounds):
                before = meter.cpu(running.pids)
                told = _shake(lab, running, kind, placement.load)
                used = meter.cpu(running.pids) - before
                if told["resumed"] != (told["handshakes"] if kind == "resumed" else 0):
                    raise StartError(f"{running.name}: {told['resumed']} of {told['handshakes']} were resumed")
                series[running.name].add(
                    **{
                        f"{kind}_a_cpu_second": told["handshakes"] / used.total,
                        f"{kind}_cpu_us": used.total / told["handshakes"] * 1e6,
                    }
                )
        result.series += series.values()
        note_disturbance(result, placement)
    for kind in ("full", "resumed"):
        result.compare("tidegate", "nginx", f"{kind}_a_cpu_second", f"tls_{kind}")
        result.compare("nginx-again", "nginx", f"{kind}_a_cpu_second", f"tls_{kind}_control")
    return result


def requests(settings: Settings) -> Result:
    """A 128-byte answer on kept connections, as the row `small` has it, within TLS."""
    unit = "Microseconds of CPU a request, proxy on its own core where there are two; closed loop (wrk)."
    result = Result("tls_requests", "Small proxied request within TLS", unit)
    with Lab(settings) as lab:
        placement = settings.placement(1)
        runnings = _start(lab)
        closed_rounds(lab, result, runnings, lambda _: Request(scheme="https"), placement)
    result.compare("tidegate", "nginx", "cpu_us", "tls_requests")
    result.compare("nginx-again", "nginx", "cpu_us", "tls_requests_control")
    return result


def idle(settings: Settings) -> Result:
    """Each connection has had one answer; growth is counted from a proxy that is warm."""
    count = min(settings.idle_connections, raise_file_limit() - 500)
    unit = "MB of memory (10^6 bytes, shared pages counted once), whole process tree."
    result = Result("tls_idle", f"{count:,} idle connections within TLS", unit)
    with Lab(settings) as lab:
        placement = settings.placement(1)
        for running in _start(lab)[:2]:
            wrk(lab, running.port, Request(scheme="https"), seconds=1, cores=placement.load)
            before = meter.memory(running.pids)
            idlers = Idlers(_any())
            try:
                idlers.open(running.port, count)
                after = meter.memory(running.pids)
                asked = len(range(0, count, 100))
                alive = idlers.alive(running.port, 100)
            finally:
                idlers.close()
            if alive != asked:
                raise StartError(f"{running.name}: {asked - alive} of {asked} idle connections no longer answered")
            series = Series(running.name)
            growth = after.pss - before.pss
            series.add(growth_mb=growth / 1e6, bytes_a_connection=growth / count, before_mb=before.pss / 1e6)
            result.series.append(series)
    mine = result.of("tidegate")
    if mine:
        result.figures["tls_idle_mb"] = mine.median("growth_mb") * 10_000 / count
    return result


def _start(lab: Lab) -> list[Running]:
    certificate, key = _certificate()
    lab.write("site.pem", certificate)
    lab.write("site.key", key).chmod(0o644)  # nginx's workers are another user's
    runnings = lab.start_all(_CONTESTANTS, lab.settings.placement(1))
    for running in runnings:
        probe = Idlers(_any())
        try:
            probe.open(running.port, 1)
        finally:
            probe.close()
    return runnings


def _any() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _shake(lab: Lab, running: Running, kind: str, cores: tuple[int, ...]) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.load.handshakes", str(running.port), str(lab.settings.seconds), kind]
    child = lab.spawn("handshakes", command, cores, {"PYTHONPATH": str(REPOSITORY)})
    told: dict[str, float] = json.loads(finish_words(lab, child, lab.settings.seconds).strip().splitlines()[-1])
    return told


def _certificate() -> tuple[str, str]:
    """Signed by itself: nobody looks."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench.test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("bench.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(pem).decode(), form.decode()
