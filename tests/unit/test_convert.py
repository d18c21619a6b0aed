"""Other programs' configurations: what becomes of them is right, does the same, and says where it does not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidegate import cli
from tidegate.cli.setup import FORMS
from tidegate.convert import FORMATS, ConvertError, convert
from tidegate.load import load
from tidegate.lower import lower

CADDY = """
{
    email ops@example.com
}
example.com, www.example.com {
    encode gzip
    header /* -Server
    @api {
        path /api/*
        method GET POST
    }
    handle_path /old/* {
        reverse_proxy localhost:9000
    }
    reverse_proxy @api 10.0.0.1:8080 10.0.0.2:8080 {
        lb_policy least_conn
        health_uri /healthz
        health_interval 3s
        header_up X-Real-IP {remote_host}
    }
    redir /gone https://elsewhere.example{uri} permanent
    respond /ping "pong" 200
    reverse_proxy 127.0.0.1:3000
}
:8080 {
    respond "{$GREETING:hello}"
}
"""
HAPROXY = """
global
    maxconn 1000
defaults
    mode http
    timeout connect 5s
    timeout server 50000
frontend www
    bind *:80
    bind :8443 ssl crt /etc/ssl/site.pem
    acl is_api path_beg /api/
    acl shop hdr(host) -i shop.example.com
    acl odd src 10.0.0.0/8
    http-request set-header X-Edge yes
    http-request deny if is_api odd
    http-request redirect scheme https code 301 if shop
    use_backend api if is_api shop
    default_backend web
backend api
    balance leastconn
    option httpchk GET /healthz
    server a 10.0.0.1:8080 check weight 3
    server b 10.0.0.2:8080 check backup
backend web
    balance random
    server a 127.0.0.1:3000
backend unused
    server a 127.0.0.1:9
"""
LITELLM = """
model_list:
  - model_name: gpt
    litellm_params:
      {model: azure/gpt-4o-eu, api_base: os.environ/AZURE_BASE, api_key: os.environ/AZURE_KEY, api_version: v1, rpm: 6}
  - model_name: gpt
    litellm_params: {model: gpt-4o, api_key: os.environ/OPENAI_API_KEY, weight: 2}
  - model_name: claude
    litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: os.environ/ANTHROPIC_API_KEY, timeout: 30}
  - model_name: local
    litellm_params: {model: hosted_vllm/llama, api_base: "http://gpu:8000/v1", input_cost_per_token: 0.0000001}
litellm_settings:
  num_retries: 2
  drop_params: true
  fallbacks: [{gpt: [claude]}]
  context_window_fallbacks: [{local: [gpt]}]
  success_callback: [langfuse]
router_settings: {routing_strategy: least-busy}
general_settings: {master_key: os.environ/MASTER_KEY, database_url: os.environ/DB}
"""
ENVIRON = {
    name: f"{name.lower()}-{'x' * 20}" for name in ("AZURE_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "MASTER_KEY")
}
CASES = {"Caddyfile": CADDY, "haproxy.cfg": HAPROXY, "config.yaml": LITELLM}


def converted(tmp_path: Path, name: str, text: str) -> tuple[dict[str, Any], str]:
    file = tmp_path / name
    file.write_text(text)
    done = convert(str(file)).text()
    return yaml.safe_load(done), done


@pytest.mark.parametrize("name", CASES)
def test_what_comes_out_is_a_configuration(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_BASE", "https://eu.openai.azure.com")
    for variable, value in ENVIRON.items():
        monkeypatch.setenv(variable, value)
    _, text = converted(tmp_path, name, CASES[name])
    if name == "haproxy.cfg":  # its certificate is not here
        data = yaml.safe_load(text)
        data["listeners"] = [one if isinstance(one, str) else one["address"] for one in data["listeners"]]
        text = yaml.safe_dump(data)
    target = tmp_path / "tidegate.yaml"
    target.write_text(text)
    loaded = load(str(target))
    assert lower(loaded.config, loaded.where).plan.routes


def test_a_caddyfile_becomes_routes(tmp_path: Path) -> None:
    data, text = converted(tmp_path, "Caddyfile", CADDY)
    hosts = ["example.com", "www.example.com"]
    assert data["listeners"] == [":80", ":8080"]
    old, api, gone, ping, rest, hello = data["routes"]
    assert old["match"] == {"host": hosts, "path": "/old/"}
    assert (old["rewrite"], old["upstream"]) == ({"prefix": "/"}, "http://localhost:9000")
    assert api["match"] == {"host": hosts, "path": "/api/", "methods": ["GET", "POST"]}
    assert api["headers"]["request"]["set"] == {"X-Real-IP": "${client_ip}"}
    assert data["upstreams"][api["upstream"]] == {
        "endpoints": ["http://10.0.0.1:8080", "http://10.0.0.2:8080"],
        "balance": "least_requests",
        "health": {"active": {"path": "/healthz", "interval": "3s"}},
    }
    assert gone["redirect"] == {"to": "https://elsewhere.example${request_uri}", "status": 301}
    assert (ping["match"]["exact"], ping["respond"]) == ("/ping", {"status": 200, "body": "pong"})
    assert (rest["match"], rest["upstream"]) == ({"host": hosts}, "http://127.0.0.1:3000")
    assert hello["respond"]["body"] == "${GREETING:-hello}"
    assert "# NOTE Caddyfile:5: example.com is served with TLS by Caddy" in text
    assert "Caddyfile:6: `encode` is left out" in text
    assert "Caddyfile:3: the global option `email`" in text


def test_an_haproxy_cfg_becomes_routes_and_upstreams(tmp_path: Path) -> None:
    data, text = converted(tmp_path, "haproxy.cfg", HAPROXY)
    assert data["listeners"] == [":80", {"address": ":8443", "tls": {"certificates": [{"cert": "/etc/ssl/site.pem"}]}}]
    redirect, api, rest = data["routes"]
    assert redirect["match"] == {"host": "shop.example.com"}
    assert redirect["redirect"] == {"to": "https://${host}${request_uri}", "status": 301}
    assert api["match"] == {"path": "/api/", "host": "shop.example.com"}
    assert api["headers"]["request"]["set"] == {"X-Edge": "yes"}
    assert rest["upstream"] == "web"
    assert data["upstreams"]["api"] == {
        "timeouts": {"connect": "5s", "head": "50000ms"},
        "balance": "least_requests",
        "endpoints": [{"url": "http://10.0.0.1:8080", "weight": 3}, "http://10.0.0.2:8080"],
        "health": {"active": {"path": "/healthz"}},
    }
    assert "unused" not in data["upstreams"]
    for told in (
        "haproxy.cfg:13: the acl odd",
        "haproxy.cfg:15: `if is_api odd` is left out",
        "`balance random`",
        "`backup` of b",
    ):
        assert told in text, told


def test_a_litellm_config_becomes_an_ai_gateway(tmp_path: Path) -> None:
    data, text = converted(tmp_path, "config.yaml", LITELLM)
    ai = data["ai"]
    assert ai["providers"] == {
        "azure": {"base_url": "${AZURE_BASE}", "api_key": "${AZURE_KEY}", "api_version": "v1"},
        "openai": {"api_key": "${OPENAI_API_KEY}"},
        "anthropic": {"api_key": "${ANTHROPIC_API_KEY}"},
        "vllm": {"base_url": "http://gpu:8000/v1"},
    }
    gpt = ai["models"]["gpt"]
    assert gpt["targets"] == ["azure/gpt-4o-eu", {"provider": "openai", "model": "gpt-4o", "weight": 2}]
    assert (gpt["balance"], gpt["fallback"], gpt["attempts"]) == ("least_busy", ["claude"], 3)
    assert ai["models"]["local"]["fallback"] == [{"model": "gpt", "on": ["context_too_long"]}]
    assert ai["models"]["local"]["targets"] == [{"provider": "vllm", "model": "llama", "price": {"input": "0.1"}}]
    assert ai["models"]["claude"]["timeouts"] == {"total": "30s"}
    assert ai["keys"] == [{"name": "master", "key": "${MASTER_KEY}"}]
    for told in (
        "rpm: 6 of gpt",
        "`success_callback` is left out",
        "database_url is left out",
        "the master key becomes",
    ):
        assert told in text, told


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("Caddyfile", "example.com {\n reverse_proxy\n}\n", "Caddyfile:2: reverse_proxy says not where to"),
        ("Caddyfile", "example.com {\n", "Caddyfile:1: a `{` is not closed"),
        ("Caddyfile", "a.example {\n respond @x 200\n}\n", "Caddyfile:2: the matcher @x is defined nowhere"),
        ("haproxy.cfg", "frontend a\n bind :80\n default_backend b\n", "the backend b is defined nowhere"),
        ("haproxy.cfg", "frontend a\n use_backend\n", "haproxy.cfg:2: `use_backend` says nothing"),
        ("haproxy.cfg", "frontend a\n log 'x\n", "haproxy.cfg:2: can't be read"),
        ("config.yaml", "model_list: [", "config.yaml:1: is no YAML"),
        (
            "config.yaml",
            "model_list: [{model_name: a}]",
            "config.yaml:1: an entry of `model_list` has no litellm_params.model",
        ),
        ("what.conf", "hello", "is nothing known; say what it is: --from caddyfile, haproxy, litellm"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(name: str, text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match=re.escape(said)):
        converted(tmp_path, name, text)


def test_the_verb_prints_writes_and_counts_its_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Caddyfile").write_text(CADDY)
    into = tmp_path / "tidegate.yaml"
    assert cli.main(["convert", str(tmp_path / "Caddyfile")]) == 0
    printed = capsys.readouterr()
    assert "routes:" in printed.out
    assert re.fullmatch(r"\d+ places where the meaning is another: read the lines with NOTE\n", printed.err)
    assert cli.main(["convert", str(tmp_path / "Caddyfile"), "-o", str(into)]) == 0
    assert into.read_text() == printed.out
    assert cli.main(["convert", str(tmp_path / "Caddyfile"), "-o", str(into)]) == 1
    assert cli.main(["convert", str(tmp_path / "nowhere")]) == 1
    assert json.dumps(sorted(FORMATS)) == json.dumps(sorted(FORMS))
