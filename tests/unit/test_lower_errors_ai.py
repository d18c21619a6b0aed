"""What is wrong with the AI gateway's configuration is told, with the place and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.told import told

AI = 'listeners: ["127.0.0.1:8080"]\nroutes: [{match: {path: /ai/}, ai: {}}]\nai:\n'
"""Three lines before the first key of `ai`."""

ECHO = AI + "  models: {small: echo/a, big: echo/b}\n"
"""Four, with two models."""

CASES = [
    pytest.param(
        AI + "  models: {small: opena/gpt-4o}\n",
        "t.yaml:4:19: no provider is called `opena`; did you mean `openai`?",
        id="provider-near",
    ),
    pytest.param(
        AI + "  models: {small: {targets: [{provider: zzz, model: x}]}}\n",
        "t.yaml:4:41: no provider is called `zzz`; add it: `ai: {providers: {zzz: …}}`",
        id="provider-far",
    ),
    pytest.param(
        AI + "  models: {small: gpt-4o}\n",
        "t.yaml:4:19: `gpt-4o` does not say who serves it; write `PROVIDER/gpt-4o`",
        id="target-without-provider",
    ),
    pytest.param(
        AI + "  providers: {grok: {api_key: k}}\n",
        "t.yaml:4:15: `grok` is not a provider that is known by its name; did you mean `groq`? Else add "
        "`dialect: openai` (or another) and `base_url`, or `like: NAME`",
        id="unknown-provider-near",
    ),
    pytest.param(
        AI + "  providers: {own: {dialect: openai}}\n",
        "t.yaml:4:20: `base_url` is missing; add `base_url: http://HOST:PORT/v1`",
        id="no-base-url",
    ),
    pytest.param(
        AI + "  providers: {own: {dialect: opena1, base_url: http://a}}\n",
        "t.yaml:4:30: `opena1` is not one of the values here; did you mean `openai`?",
        id="dialect",
    ),
    pytest.param(
        AI + "  providers: {own: {like: opnai}}\n",
        "t.yaml:4:27: no provider is known as `opnai`; did you mean `openai`?",
        id="like",
    ),
    pytest.param(
        AI + "  providers: {own: {dialect: openai, base_url: [http://a/v1, http://b/v2]}}\n",
        "t.yaml:4:62: `http://b/v2` has another path than the one before; write `/v1` in all of them, or make two "
        "providers",
        id="base-paths",
    ),
    pytest.param(
        AI + '  providers: {own: {dialect: openai, base_url: "http://a/v1?x=1"}}\n',
        "t.yaml:4:48: a base URL ends with its path, this one has a query; leave it out; a key goes into "
        "`api_key`, with `auth: {query: NAME}`",
        id="base-query",
    ),
    pytest.param(
        AI + "  providers: {own: {dialect: openai, base_url: a/v1}}\n",
        "t.yaml:4:48: `a/v1` is not a URL; write `http://a/v1`",
        id="base-no-url",
    ),
    pytest.param(
        AI + "  providers: {bedrock: {access_key: a}}\n",
        """\
t.yaml:4:24: `secret_key` is missing; write `access_key` and `secret_key` together
t.yaml:4:24: `bedrock` needs a region; add `region: us-east-1`""",
        id="aws",
    ),
    pytest.param(
        AI + "  providers: {openai: {auth: {header: X-Key, query: key}, api_key: k}}\n",
        "t.yaml:4:30: where the key stands, this says two; write `header: NAME` or `query: NAME`",
        id="auth-two",
    ),
    pytest.param(
        AI + "  providers: {openai: {auth: bearer}}\n",
        't.yaml:4:23: `api_key` is missing; add `api_key: "${NAME}"`',
        id="auth-no-key",
    ),
    pytest.param(
        AI + '  providers: {openai: {api_key: "two words"}}\n',
        "t.yaml:4:33: the key has blanks, line ends or other signs that no key has; check it",
        id="key-with-blanks",
    ),
    pytest.param(
        AI + "  providers: {openai: {api_key: k, paths: {chats: /x}}}\n",
        "t.yaml:4:44: `chats` is not a surface; did you mean `chat`?",
        id="paths",
    ),
    pytest.param(
        ECHO + "  keys: [{name: ci, key: k, models: [smal]}]\n",
        "t.yaml:5:38: no model is called `smal`; did you mean `small`?",
        id="key-model",
    ),
    pytest.param(
        ECHO + "  keys: [{name: ci, key: k, models: {moon: {}}}]\n",
        "t.yaml:5:38: no model is called `moon`; add it: `ai: {models: {moon: PROVIDER/MODEL}}`",
        id="key-model-mapping",
    ),
    pytest.param(
        ECHO + "  keys: [{name: ci, key: k}, {name: ci, key: l}, {name: x, key: k}, {name: y}]\n",
        """\
t.yaml:5:37: `ci` is already the name of the key at t.yaml:5:10; give it another
t.yaml:5:50: this is the same key as `ci`; keep one of them
t.yaml:5:69: `key` is missing; add `key: "${NAME}"` or `sha256: …`""",
        id="keys-twice",
    ),
    pytest.param(
        ECHO + "  keys: [{name: ci, key: k, team: x, guards: pi, limits: {requests: 5/s}}]\n",
        "t.yaml:5:69: `5/s` is not so many in a window; the shortest window is a minute: write `…/min`, or add `limit` "
        "to the route for bursts",
        id="quota-window",
    ),
    pytest.param(
        ECHO + "  guards: {pii: {pii: on}}\n  keys: [{name: ci, key: k, team: x, guards: pi}]\n",
        """\
t.yaml:6:35: a team belongs to a tenant; add `tenant: NAME`
t.yaml:6:46: no guard is called `pi`; did you mean `pii`?""",
        id="key-owner-and-guard",
    ),
    pytest.param(
        ECHO + "  keys: [{name: ci, key: k, budget: 50, limits: {tokens: 100}, expires: tomorrow}]\n",
        """\
t.yaml:5:37: `50` is not a budget; write it as `50/month`, `5/day`, or `{usd: 50, per: month}`
t.yaml:5:58: `100` is not so many in a window; write `100/min`, `100/hour` or `100/day`
t.yaml:5:73: `tomorrow` is not a day or a moment; write `2027-01-31` or `2027-01-31T12:00:00Z`""",
        id="key-units",
    ),
    pytest.param(
        ECHO + "  keys: [{name: ci, key: k, limits: [{requests: 5/min}, {requests: [6/hour, 7/min]}]}]\n",
        "t.yaml:5:77: there is a bound for key ci: requests per minute already; keep one of them",
        id="limit-twice",
    ),
    pytest.param(
        ECHO + "  tenants: {acme: {models: {smal: {budget: 5/day}}}}\n",
        "t.yaml:5:29: no model is called `smal`; did you mean `small`?",
        id="tenant-model",
    ),
    pytest.param(
        AI + "  models: {a: {targets: echo/a, fallback: [b]}, b: {targets: echo/b, fallback: a}}\n",
        "t.yaml:4:80: the fallbacks go in a circle: `a` → `b` → `a`; take one of them out",
        id="circle",
    ),
    pytest.param(
        AI + "  models: {a: {targets: echo/a, fallback: [a]}}\n",
        "t.yaml:4:43: the fallbacks go in a circle: `a` → `a`; take one of them out",
        id="circle-of-one",
    ),
    pytest.param(
        AI + "  models: {a: {targets: echo/a, fallback: [{model: b, on: [down]}, b]}, b: echo/b}\n",
        "t.yaml:4:68: `b` is there twice for one cause; keep one of them",
        id="fallback-twice",
    ),
    pytest.param(
        AI + "  models: {a: {targets: echo/a, fallback: [{model: b, on: [donw]}]}, b: echo/b}\n",
        "t.yaml:4:60: `donw` is not one of the values here; did you mean `down`?",
        id="cause",
    ),
    pytest.param(
        AI + "  models: {a: {targets: echo/a, fallback: [c]}, b: echo/b}\n",
        "t.yaml:4:44: no model is called `c`; add it: `ai: {models: {c: PROVIDER/MODEL}}`",
        id="fallback-unknown",
    ),
    pytest.param(
        AI + "  models: {a: {targets: openai/a, fallback: openai/xyzzy}}\n",
        "t.yaml:4:45: no model is called `openai/xyzzy`; add `expose: on` to the provider `openai`, or a model of that "
        "name",
        id="fallback-not-exposed",
    ),
    pytest.param(
        AI + "  models: {a: {targets: [{provider: echo, weight: 0}, {provider: echo, model: b, weight: 0}]}}\n",
        "t.yaml:4:25: all weights are 0, so nobody is asked; give one of them a weight of 1 or more",
        id="weights",
    ),
    pytest.param(
        AI + "  models: {a: [echo/x, echo/x]}\n",
        "t.yaml:4:24: `echo/x` is there twice; give it a `weight: 2` instead, or a `variant`",
        id="target-twice",
    ),
    pytest.param(
        AI + '  models: {a: "echo/*", "*/*": echo/x}\n',
        """\
t.yaml:4:15: nothing says what the `*` of `*` stands for; write a `*` into the model's name too, as `openai/*`
t.yaml:4:25: `*/*` has more than one `*`; keep one of them""",
        id="stars",
    ),
    pytest.param(
        AI + "  models: {a: {targets: echo/a, sticky: user, session: 'x y', cache: {max_temperature: 2.5}}}\n",
        """\
t.yaml:4:41: `user` is nothing to hold on to; write `key` or `header:NAME`
t.yaml:4:56: `x y` is not a header's name; write `X-Session-Id`
t.yaml:4:88: no temperature is as high as `2.5`; write `0` to `2`""",
        id="model-keys",
    ),
    pytest.param(
        AI + "  models: {a: {targets: echo/a, shadow: a, rules: [{model: b}, {model: a, tag: x}]}, b: echo/b}\n",
        """\
t.yaml:4:41: a model is not its own shadow; name another
t.yaml:4:52: this rule holds for every call; add `min_tokens`, `max_tokens`, `tag` or `header`
t.yaml:4:72: a rule that leads to the same model does nothing; leave it out""",
        id="shadow-and-rules",
    ),
    pytest.param(
        AI + "  prices: {openai/gpt-4o: {input: 1}}\n  models: {a: {targets: [{provider: echo, price: {}}]}}\n",
        """\
t.yaml:4:12: `openai/gpt-4o` is no model of a provider that is there; write `PROVIDER/MODEL`, as `openai/gpt-4o`
t.yaml:5:50: this says no price; add `input: 2.50` and `output: 10`: USD for a million tokens""",
        id="prices",
    ),
    pytest.param(
        AI + "  prices: {echo/a: {input: 0.0000001, tiers: [{above: 5, input: 1}, {above: 5, input: 2}]}}\n"
        "  models: {a: echo/a}\n",
        """\
t.yaml:4:28: `0.0000001` is finer than is counted; write at most six decimals
t.yaml:4:77: the steps do not rise; write the lowest first, each once""",
        id="price-steps",
    ),
    pytest.param(
        ECHO
        + "  guards: {a: {}, b: {pii: on, regex: x}, c: {regex: '(a'}, d: {regex: '(?<!a)b'}, e: {keywords: ' '}}\n",
        """\
t.yaml:5:15: this guard looks for nothing; add `pii`, `keywords` or `regex`
t.yaml:5:39: `pii` and `regex` are both here; make two guards
t.yaml:5:54: `(a` is not a regular expression: missing ), unterminated subpattern at position 0; mend it
t.yaml:5:72: look-around and back-references are not part of these patterns, which always end in linear time; \
write it without
t.yaml:5:98: an empty word is found everywhere; leave it out
t.yaml:5:98: there is no word to look for; add one""",
        id="guards",
    ),
    pytest.param(
        ECHO + "  guards: {a: {pii: [emial]}, b: {pii: on, action: restore, scope: both}}\n",
        "t.yaml:5:22: `emial` is not one of the values here; did you mean `email`?",
        id="guard-kind",
    ),
    pytest.param(
        ECHO + "  guards: {b: {pii: on, action: restore, scope: both}}\n",
        "t.yaml:5:49: only what the client sent can be put back; write `scope: request`, or `action: mask`",
        id="guard-restore",
    ),
    pytest.param(
        ECHO + "  prompts: {p: {model: smal, template: a, input: {type: strin}}, q: {model: small}}\n",
        """\
t.yaml:5:24: no model is called `smal`; did you mean `small`?
t.yaml:5:57: `strin` is no type of JSON Schema; did you mean `string`?
t.yaml:5:57: the inputs are an object, one key for each; write `type: object`
t.yaml:5:69: `template` is missing; add `template: "… {{ text }} …"`""",
        id="prompts",
    ),
    pytest.param(
        ECHO + "  prompts: {p: {model: small, template: a, input: [text]}}\n",
        "t.yaml:5:51: `input` cannot be a list; write a mapping",
        id="prompt-schema",
    ),
    pytest.param(
        ECHO + "  prompts: {a/b: {model: small, template: a, parameters: {stream: true}}}\n",
        """\
t.yaml:5:13: `a/b` cannot be a part of a path; write letters, digits, `-`, `_` and `.`
t.yaml:5:67: `stream` is made by the prompt itself; leave it out""",
        id="prompt-name",
    ),
    pytest.param(
        ECHO
        + "  prompts: {p: {model: small, default: v3, versions: {v1: {template: a}, v2: {template: b, weight: 1}}}}\n",
        """\
t.yaml:5:40: no version is called `v3`; write one of `v1`, `v2`
t.yaml:5:100: `default` gets all calls that pin no version; leave `weight` or `default` out""",
        id="prompt-versions",
    ),
    pytest.param(
        'listeners: ["127.0.0.1:8080"]\nroutes: [{match: {exact: /ai}, ai: {}}, {ai: {guards: [x]}, upstream: http://a}]\n',
        """\
t.yaml:2:26: an AI route has more than one path; write `path: /ai/`: the surfaces are below it
t.yaml:2:42: `upstream` and `ai` both answer; keep one of them""",
        id="routes",
    ),
    pytest.param(
        ECHO + "  journal: {segment: 1KiB}\n  tag_header: 'X Tags'\n",
        """\
t.yaml:5:22: `1KiB` is out of bounds; write `64KiB` to `1GiB`
t.yaml:6:15: `X Tags` is not a header's name; write `X-Tidegate-Tags`""",
        id="journal",
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_what_is_wrong_with_the_ai_gateway_is_told(
    text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told(text) == expected
