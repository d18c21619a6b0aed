"""Which crate may use which: read off the manifests, so that no build is needed."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

RUST = Path(__file__).parents[2] / "rust"

MAY_USE: dict[str, set[str]] = {
    "message": set(),
    "plan": {"serde", "serde_json"},
    "http1": {"message", "httparse", "memchr"},
    "http2": {"memchr"},
    "route": {"message", "plan", "regex", "regex-automata", "regex-syntax", "memchr", "xxhash-rust"},
    "auth": {
        *("aws-lc-rs", "serde", "serde_json", "sha2", "subtle"),
        *("argon2", "bcrypt", "md-5", "sha-crypt"),  # what password files hold
    },
    "limit": {"bytemuck"},
    "journal": {"libc", "memmap2", "xxhash-rust"},
    "cache": {"message", "plan", "quick_cache", "xxhash-rust"},
    "upstream": {"plan", "fastrand"},
    "sni": set(),
    "dialect": {
        *("plan", "serde", "serde_json", "memchr", "xxhash-rust"),
        *("base64", "crc32fast", "hmac", "sha2"),  # Converse is signed, and comes in frames
    },
    "engine": {
        *(
            "message",
            "plan",
            "http1",
            "http2",
            "route",
            "auth",
            "limit",
            "journal",
            "upstream",
            "cache",
            "dialect",
            "guard",
            "prompt",
        ),
        "sni",
        *("fastrand", "hickory-resolver", "libc", "memchr", "quick_cache", "socket2", "tokio", "xxhash-rust"),
        *("rustls", "rustls-native-certs", "x509-parser"),
    },
    "guard": {"plan", "aho-corasick", "memchr", "regex", "regex-syntax"},
    "prompt": {"plan", "jsonschema", "minijinja", "serde_json", "xxhash-rust"},
    "playbook": {"engine", "serde_json", "tokio"},
    "py": {"engine", "plan", "pyo3"},
}
"""ARCHITECTURE.md's table of rooms, with the small libraries that each needs. A new line here is a decision."""

ONLY: dict[str, set[str]] = {
    "tokio": {"engine", "playbook"},
    "socket2": {"engine"},
    "libc": {"engine", "journal"},
    "hickory-resolver": {"engine"},
    "rustls": {"engine"},
    "x509-parser": {"engine"},
    "pyo3": {"py"},
    "serde": {"plan", "auth", "dialect"},
    "serde_json": {"plan", "auth", "dialect", "playbook", "prompt"},
    "quick_cache": {"cache", "engine"},
    "minijinja": {"prompt"},
    "jsonschema": {"prompt"},
    "memmap2": {"journal"},
    "httparse": {"http1"},
}
"""Libraries that decide what a room is."""


@cache
def manifest(crate: str) -> dict[str, Any]:
    return tomllib.loads((RUST / crate / "Cargo.toml").read_text())


def crates() -> list[str]:
    members = tomllib.loads((RUST.parent / "Cargo.toml").read_text())["workspace"]["members"]
    return [member.removeprefix("rust/") for member in members]


def uses(crate: str, kind: str = "dependencies") -> set[str]:
    content = manifest(crate)
    tables = [content.get(kind, {}), *(target.get(kind, {}) for target in content.get("target", {}).values())]
    return {name.removeprefix("tidegate-") for table in tables for name in table}


def test_every_crate_has_its_line_in_the_table_of_rooms() -> None:
    assert set(crates()) == set(MAY_USE)
    folders = {path.parent.name for path in RUST.glob("*/Cargo.toml")} - {"fuzz", "main"}
    assert folders == set(crates()), "a crate stands in rust/ that the workspace does not know"


@pytest.mark.parametrize("crate", sorted(MAY_USE))
def test_a_crate_uses_only_what_its_room_may(crate: str) -> None:
    more = uses(crate) - MAY_USE[crate]
    assert not more, f"{crate} uses {sorted(more)}: keep it out, or argue for it in ARCHITECTURE.md and here"


@pytest.mark.parametrize("library", sorted(ONLY))
def test_a_library_that_makes_a_room_is_used_there_alone(library: str) -> None:
    users = {crate for crate in crates() if library in uses(crate)}
    assert users <= ONLY[library], f"{library} belongs to {sorted(ONLY[library])}"


def test_the_crate_graph_points_down_and_has_no_circle() -> None:
    left = {crate: uses(crate) & set(MAY_USE) for crate in crates()}
    while left:
        bottom = {crate for crate, below in left.items() if not below & set(left)}
        assert bottom, f"these use each other: {left}"
        left = {crate: below for crate, below in left.items() if crate not in bottom}


def test_the_nouns_below_the_engine_know_no_engine_even_in_their_tests() -> None:
    for crate in set(crates()) - {"engine", "playbook", "py"}:
        known = uses(crate, "dev-dependencies") & {"engine", "playbook", "py", "tokio"}
        assert not known, f"{crate} is tested with {sorted(known)}: its tests need bytes and times only"


def test_no_source_below_the_engine_reads_a_clock_or_opens_a_socket() -> None:
    banned = ("Instant::now", "SystemTime::now", "std::net::Tcp", "std::thread::sleep", "thread::spawn", "std::fs::")
    found = [
        f"{path.relative_to(RUST)}: {word}"
        for crate in set(crates()) - {"engine", "journal", "playbook", "py"}
        for path in (RUST / crate / "src").rglob("*.rs")
        for word in banned
        if word in path.read_text().split("#[cfg(test)]")[0]
    ]
    assert not found, "bytes and times are arguments below the engine"


def test_no_engine_thread_can_touch_the_interpreter() -> None:
    found = [
        str(path.relative_to(RUST))
        for path in RUST.rglob("*.rs")
        if "pyo3" in path.read_text() and path.relative_to(RUST).parts[0] not in ("py", "target")
    ]
    assert not found, "only rust/py knows PyO3"


def test_all_crates_share_the_lints_of_the_workspace() -> None:
    for crate in crates():
        assert manifest(crate).get("lints") == {"workspace": True}, f"{crate}: [lints] workspace = true"
        assert manifest(crate)["package"]["edition"] == {"workspace": True}, crate
