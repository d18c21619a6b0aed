"""Routing tables of any size, the same for every product: hosts times path prefixes."""

from __future__ import annotations

import math


def targets_of(count: int) -> list[tuple[str, str]]:
    """A host and a path that each of the routes takes."""
    return [(host, f"{prefix}item") for host, prefix in _pairs(count)]


def routes_of(product: str, count: int, generation: int = 0) -> dict[str, str]:
    """The configuration's part: `count` routes, and /generation, which tells which configuration answers."""
    if product == "tidegate":
        lines = [f'  - {{match: {{exact: /generation}}, respond: {{body: "{generation}"}}}}']
        lines += [
            f"  - {{match: {{host: {host}, path: {prefix}}}, upstream: origin}}" for host, prefix in _pairs(count)
        ]
        return {"ROUTES": "\n".join(lines)}
    servers = [
        "  server {",
        "    listen 127.0.0.1:@PORT@ default_server reuseport backlog=4096;",
        f'    location = /generation {{ return 200 "{generation}"; }}',
        "    location / { return 404; }",
        "  }",
    ]
    by_host: dict[str, list[str]] = {}
    for host, prefix in _pairs(count):
        by_host.setdefault(host, []).append(prefix)
    for host, prefixes in by_host.items():
        servers += ["  server {", "    listen 127.0.0.1:@PORT@;", f"    server_name {host};"]
        servers += [f"    location {prefix} {{ proxy_pass http://origin; }}" for prefix in prefixes]
        servers += ["    location / { return 404; }", "  }"]
    return {"ROUTES": "\n".join(servers)}


def _pairs(count: int) -> list[tuple[str, str]]:
    hosts = 2 if count <= 10 else math.isqrt(count)
    return [
        (f"service-{number % hosts}.example.test", f"/api/v1/resource-{number // hosts}/") for number in range(count)
    ]
