"""What is wrong with stages, actions, the server and the log is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.told import ROUTES, told

CASES = [
    pytest.param(
        ROUTES + "  - name: a\n",
        "t.yaml:3:5: nothing answers here; add `upstream`, `ai`, `redirect`, `respond`, `builtin` or `hook`",
        id="no-action",
    ),
    pytest.param(
        ROUTES
        + """\
  - respond: 204
    upstream: http://a
""",
        "t.yaml:3:5: `upstream` and `respond` both answer; keep one of them",
        id="two-actions",
    ),
    pytest.param(
        ROUTES + "  - {limit: {rate: 1/s}, respond: 204}\n",
        "t.yaml:3:13: `key` is missing: what is counted apart; add `key: client_ip`",
        id="limit-key",
    ),
    pytest.param(
        ROUTES + "  - {limit: {key: ip}, respond: 204}\n",
        """\
t.yaml:3:13: `rate` is missing; add `rate: 100/s`
t.yaml:3:19: `ip` is nothing to count by; did you mean `client_ip`?""",
        id="limit-rate",
    ),
    pytest.param(
        ROUTES + "  - {limit: {key: route, rate: 1/s, cost: 5}, respond: 204}\n",
        "t.yaml:3:43: no bucket of 1 ever holds 5 tokens; raise `burst` to 5",
        id="limit-cost",
    ),
    pytest.param(
        ROUTES + "  - {limit: {key: 'header:', rate: 1/s}, respond: 204}\n",
        "t.yaml:3:19: `header:` names no header; write `header:NAME`",
        id="limit-key-header",
    ),
    pytest.param(
        ROUTES + "  - {limit: {key: client-ip, rate: 1/s}, respond: 204}\n",
        "t.yaml:3:19: `client-ip` is nothing to count by; did you mean `client_ip`?",
        id="limit-key-near",
    ),
    pytest.param(
        ROUTES + "  - {limit: {key: moon, rate: 1/s}, respond: 204}\n",
        (
            "t.yaml:3:19: `moon` is nothing to count by; write `client_ip`, `header:NAME`, `cookie:NAME`, `claim:NAME`, "
            "`api_key`, `path`, `host`, `route`, or a list of these"
        ),
        id="limit-key-far",
    ),
    pytest.param(
        ROUTES + "  - {limit: {key: [route, route], rate: 1/s}, respond: 204}\n",
        "t.yaml:3:27: `route` is there twice; leave one out",
        id="limit-key-twice",
    ),
    pytest.param(
        ROUTES + "  - {limit: {key: [], rate: 1/s}, respond: 204}\n",
        "t.yaml:3:19: the key is empty; write `route` to count all requests of the route together",
        id="limit-key-empty",
    ),
    pytest.param(
        ROUTES
        + """\
  - {limit: {name: sight}, respond: 204}
  - {match: {path: /b}, limit: {name: site, key: route, rate: 1/s}, respond: 204}
""",
        "t.yaml:3:13: no limit is called `sight`; did you mean `site`?",
        id="limit-unknown",
    ),
    pytest.param(
        ROUTES
        + """\
  - {match: {path: /a}, limit: {name: x, key: route, rate: 2/s}, respond: 204}
  - {match: {path: /b}, limit: {name: x, key: route, rate: 1/s}, respond: 204}
""",
        (
            "t.yaml:4:32: the limit `x` is something else at t.yaml:3:32; write `limit: {name: x}` to share it, "
            "or another name"
        ),
        id="limit-differs",
    ),
    pytest.param(
        ROUTES + "  - {limit: [{name: x, key: route, rate: 2/s}, {name: x}], respond: 204}\n",
        "t.yaml:3:48: the limit `x` is there twice; leave one out",
        id="limit-twice",
    ),
    pytest.param(
        ROUTES
        + """\
  - {concurrency: {key: route}, respond: 204}
  - {match: {path: /x}, concurrency: {max: 1}, respond: 204}
""",
        """\
t.yaml:3:19: `max` is missing; add `max: 100`
t.yaml:4:38: `key` is missing: what is counted apart; add `key: route`""",
        id="concurrency",
    ),
    pytest.param(
        ROUTES
        + """\
  - {hook: policies.check}
  - {match: {path: /x}, hook: {call: policies}}
""",
        """\
t.yaml:3:12: `policies.check` names no function; write `policies:check`
t.yaml:4:38: `policies` names no function; write `module:function`""",
        id="hook-name",
    ),
    pytest.param(
        ROUTES + "  - {hook: {call: 'a:b', timeout: 0}}\n",
        "t.yaml:3:35: `0` is too short here; write `1ms` or more",
        id="hook-zero",
    ),
    pytest.param(
        ROUTES + "  - {headers: {request: {set: {Content-Length: 5}, remove: [connection]}}, respond: 204}\n",
        """\
t.yaml:3:32: `Content-Length` cannot be edited: framing is always derived anew (RFC 9112 §6.3); leave it out
t.yaml:3:61: `connection` cannot be edited: whether a connection is kept is decided hop by hop (RFC 9110 §7.6.1); leave it out""",
        id="edit-framing",
    ),
    pytest.param(
        ROUTES + "  - {headers: {request: {set: {Host: a}}}, respond: 204}\n",
        "t.yaml:3:32: `Host` is not edited as a header; write `rewrite: {host: NAME}`",
        id="edit-host",
    ),
    pytest.param(
        ROUTES + "  - {headers: {response: {add: {'A B': a}}}, respond: 204}\n",
        "t.yaml:3:33: `A B` is not a header's name; write letters, digits and `-`",
        id="edit-name",
    ),
    pytest.param(
        ROUTES + '  - {headers: {response: {set: {A: "a\\nb"}}}, respond: 204}\n',
        "t.yaml:3:36: a line end or NUL would split the head; write it in one line",
        id="edit-line",
    ),
    pytest.param(
        ROUTES
        + """\
  - headers: {request: {set: {X-Ip: 'a ${clientip}'}}}
    respond: 204
""",
        "t.yaml:3:40: `${clientip}` is not a variable; did you mean `${client_ip}`?",
        id="edit-variable",
    ),
    pytest.param(
        ROUTES + "  - {rewrite: {path: /a, prefix: /}, upstream: 'http://a'}\n",
        "t.yaml:3:34: `path` and `prefix` are both here; keep one of them",
        id="rewrite-two",
    ),
    pytest.param(
        ROUTES + "  - {rewrite: {}, upstream: 'http://a'}\n",
        "t.yaml:3:15: this rewrites nothing; add `path`, `prefix`, `regex` and `with`, `host` or `query`",
        id="rewrite-none",
    ),
    pytest.param(
        ROUTES + "  - {rewrite: {regex: a}, upstream: 'http://a'}\n",
        "t.yaml:3:15: `with` is missing; write `regex: PATTERN` and `with: TEXT` together",
        id="rewrite-half",
    ),
    pytest.param(
        ROUTES + "  - {rewrite: {with: a}, upstream: 'http://a'}\n",
        "t.yaml:3:15: `regex` is missing; write `regex: PATTERN` and `with: TEXT` together",
        id="rewrite-with-half",
    ),
    pytest.param(
        ROUTES
        + """\
  - {rewrite: {path: a}, upstream: 'http://a'}
  - {match: {path: /a}, rewrite: {prefix: a}, upstream: 'http://a'}
""",
        """\
t.yaml:3:22: `a` does not begin with `/`; write `/a`
t.yaml:4:43: `a` does not begin with `/`; write `/a`""",
        id="rewrite-slash",
    ),
    pytest.param(
        ROUTES + "  - {match: {regex: a}, rewrite: {prefix: /}, upstream: 'http://a'}\n",
        "t.yaml:3:43: there is no prefix to replace: the route matches by `regex`; write `path: …`, or match by `path`",
        id="rewrite-prefix-of-regex",
    ),
    pytest.param(
        ROUTES + "  - {rewrite: {regex: '(a)', with: '/$1b/$2'}, upstream: 'http://a'}\n",
        """\
t.yaml:3:38: `$1b` is no group of the pattern; write `${1}b`
t.yaml:3:42: `$2` is no group of the pattern; write `$1` or `${name}` for a group, `$$` for a dollar sign""",
        id="rewrite-group",
    ),
    pytest.param(
        ROUTES + "  - {rewrite: {host: ''}, upstream: 'http://a'}\n",
        "t.yaml:3:22: the host is empty; write a name, or leave it out to keep the client's",
        id="rewrite-host-empty",
    ),
    pytest.param(
        ROUTES + "  - {redirect: www.example.com}\n",
        (
            "t.yaml:3:16: `www.example.com` is neither a URL nor a path; write `https://www.example.com` or "
            "`/www.example.com`"
        ),
        id="redirect-relative",
    ),
    pytest.param(
        ROUTES + "  - {redirect: {to: /a, status: 300}}\n",
        "t.yaml:3:33: `300` is not one of the values here; write `301`, `302`, `303`, `307` or `308`",
        id="redirect-status",
    ),
    pytest.param(
        ROUTES + "  - {respond: 100}\n",
        "t.yaml:3:15: 100 is not the status of an answer; write 200 to 599",
        id="respond-status",
    ),
    pytest.param(
        ROUTES + "  - {respond: {status: 204, body: a}}\n",
        "t.yaml:3:35: an answer of status 204 has no body (RFC 9110 §6.4.1); leave it out",
        id="respond-204",
    ),
    pytest.param(
        """\
listeners: [":1"]
access_log: {format: combinde}
""",
        "t.yaml:2:22: `combinde` is not a format; did you mean `combined`?",
        id="log-format",
    ),
    pytest.param(
        """\
listeners: [":1"]
access_log: {format: zzz}
""",
        "t.yaml:2:22: `zzz` is not a format; write `combined`, `json`, or a template as `${client_ip} ${status}`",
        id="log-format-far",
    ),
    pytest.param(
        """\
listeners: [":1"]
access_log: {format: "${1}"}
""",
        "t.yaml:2:23: `${1}`: nothing is captured here; capture by `match: {regex: …}` with ( )",
        id="log-capture",
    ),
    pytest.param(
        """\
listeners: [":1"]
access_log: ""
""",
        "t.yaml:2:13: the log has no name; write a file's name, `stdout` or `syslog:HOST:PORT`",
        id="log-empty",
    ),
    pytest.param(
        """\
listeners: [":1"]
access_log: {path: "syslog:loghost", facility: locl7, tag: "a b"}
""",
        """\
t.yaml:2:20: `loghost` is not an IP address; write `syslog:192.0.2.1:514` or `syslog:unix:/dev/log`
t.yaml:2:48: `locl7` is not a syslog facility; did you mean `local7`?
t.yaml:2:60: `a b` is not a syslog tag; write 1 to 48 visible ASCII characters (RFC 5424 §6.2.5)""",
        id="log-syslog-name",
    ),
    pytest.param(
        """\
listeners: [":1"]
server: {head_bytes: 100, head_timeout: 0, trusted_proxies: [x], request_id: {header: "a b"}, max_body: on}
""",
        """\
t.yaml:2:22: `100` is out of bounds; write `1KiB` to `1MiB`
t.yaml:2:41: `0` is too short here; write `1ms` or more
t.yaml:2:62: `x` is not an address or CIDR block; write `10.0.0.0/8`, `192.0.2.7` or `2001:db8::/32`
t.yaml:2:87: `a b` is not a header's name; write `X-Request-Id`""",
        id="server-bounds",
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_what_is_wrong_with_a_stage_is_told(
    text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told(text) == expected
