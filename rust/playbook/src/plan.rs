//! A small plan to start from: one listener, one route, one upstream with the endpoint 10.0.0.1:80.

use serde_json::{Value, json};

/// The plan; tests change what they are about.
pub fn plan() -> Value {
    json!({
        "schema": 1,
        "server": {
            "head_bytes": 8192, "head_fields": 64, "handshake_timeout_ms": 10000, "head_timeout_ms": 10_000, "body_timeout_ms": 30_000,
            "send_timeout_ms": 30_000, "keep_alive_ms": 60_000, "keep_alive_requests": 0, "max_streams": 128,
            "drain_ms": 30_000, "max_connections": 100, "trusted_proxies": [], "forwarded": "none", "via": false, "loop_guard": null,
            "request_id": {"header": "", "trust": false, "respond": false}, "trace": false, "server_name": "",
            "merge_slashes": true, "limit_keys": 1000,
            "abuse": {
                "min_body_rate": 0, "min_send_rate": 0, "rate_grace_ms": 10_000, "connections_per_client": 0,
                "memory": {"kind": "off"}
            }
        },
        "listeners": [{
            "name": "memory", "address": {"kind": "ip", "ip": "127.0.0.1", "port": 0}, "proxy_protocol": false, "http2": true, "admin": false, "tls": null,
            "tcp": null
        }],
        "routes": [route()],
        "upstreams": [{
            "name": "up",
            "endpoints": [{"address": {"kind": "ip", "ip": "10.0.0.1", "port": 80}, "weight": 1, "authority": "10.0.0.1:80"}],
            "balance": {"kind": "round_robin"},
            "protocol": "http1", "tls": null, "proxy_protocol": null,
            "pool": {"idle_max": 8, "idle_ms": 30_000, "lifetime_ms": 0, "max_connections": 0, "queue_max": 0, "queue_ms": 1000},
            "passive": null, "active": null, "slow_start_ms": 0
        }],
        "limits": [], "concurrency": [], "hooks": [], "access_log": null, "ai": null, "cache": null
    })
}

/// The route: everything goes to the upstream, and nothing is tried again.
pub fn route() -> Value {
    json!({
        "name": "all", "listeners": [0],
        "matches": {"hosts": [], "path": {"kind": "prefix", "value": "/"}, "methods": [], "headers": [], "query": []},
        "access": null, "auth": null, "cors": null, "limits": [], "concurrency": [], "hook": null, "body_bytes": null, "rewrite": null,
        "request_headers": [], "response_headers": [],
        "timeouts": {"connect_ms": 5000, "head_ms": 20_000, "idle_ms": 20_000, "total_ms": 0, "tunnel_idle_ms": 600_000},
        "retry": {"attempts": 1, "on": [], "non_idempotent": false, "budget_percent": 100, "replay_bytes": 65_536},
        "cache": null, "access_log": false, "action": {"kind": "forward", "upstream": 0}
    })
}
