"""What can be known to be wrong with an order is told where it is written; what is right becomes an order."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.certificates import Authority, pem
from tests.unit.told import lowered, told

from tidegate.acme.dress import Proof, dress
from tidegate.acme.store import parse
from tidegate.lower.acme import ROUTE
from tidegate.plan import ListenerTls, Plan, Respond, encode


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


A = "{domains: [a.example], agree_terms: on}"


def text(acme: str = A, more: str = "", tls: str = "") -> str:
    return f"listeners: [{{address: ':443', tls: {{acme: {acme}{tls}}}}}{more}]\nroutes: [{{respond: 204}}]\n"


def acme(more: str) -> str:
    return text(f"{{domains: [a.example], agree_terms: on, {more}}}")


def tls(plan: Plan, at: int = 0) -> ListenerTls:
    found = plan.listeners[at].tls
    assert found is not None
    return found


def test_an_order_has_all_that_was_written_and_a_placeholder_stands_in() -> None:
    made = lowered(text("{domains: [A.example., www.a.example], email: me@a.example, agree_terms: on, key: rsa}"))
    assert made.warnings == []
    (order,) = made.orders
    assert order.name == "acme:a.example/rsa"
    assert order.domains == ("a.example", "www.a.example")
    assert order.directory == "https://acme-v02.api.letsencrypt.org/directory"
    assert (order.challenge, order.listeners) == ("tls-alpn-01", (0,))
    (shown,) = tls(made.plan).certificates
    assert shown.names == ["a.example", "www.a.example"]
    assert shown.name == "acme:a.example/rsa (placeholder)"
    parse((shown.key + shown.chain).encode())


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("'*.a.example'", "`tls-alpn-01` can't prove `*.a.example`: authorities give wildcards by `dns-01` only"),
        ("192.0.2.1", "`192.0.2.1` is an address; name the domain that leads to it"),
        ("'[2001:db8::1]'", "`[2001:db8::1]` is an address"),
        ("bücher.example", "`bücher.example` is not as it stands in certificates; write `xn--bcher-kva.example`"),
        ("'a.example:443'", "`a.example:443` is no domain; write one like `www.example.com`, without scheme and port"),
        ("a..example", "`a..example` is no domain"),
        ("''", "`` is no domain"),
        ("x" * 64 + ".example", "is no domain"),
    ],
)
def test_a_name_that_no_authority_would_take_is_refused(name: str, what: str) -> None:
    assert what in told(text(f"{{domains: [{name}], agree_terms: on}}"))


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ("directory: 'http://ca.test/dir'", "`http://ca.test/dir` is no address of an ACME directory"),
        ("directory: nothing", "`nothing` is no address of an ACME directory"),
        ("directory: 'https://ca.test:99999/'", "is no address of an ACME directory"),
        ("email: nobody", "`nobody` is no mail address"),
        ("eab: {kid: k, hmac: 'no base64!'}", "this is not base64url"),
        ("ca: missing.pem", "`missing.pem` can't be read"),
        ("challenge: dns-01", "dns-01"),
    ],
)
def test_what_is_wrong_beside_the_names_is_told(wrong: str, what: str) -> None:
    assert what in told(acme(wrong))


def test_the_terms_must_be_agreed_to() -> None:
    assert "t.yaml:1:43: the authority's terms of service are not agreed to; read them and write" in told(
        text("{domains: [a.example]}")
    )


def test_no_names_and_too_many_are_refused() -> None:
    assert "no name is given" in told(text("{domains: [], agree_terms: on}"))
    many = ", ".join(f"a{index}.example" for index in range(101))
    assert "these are 101 names; write 100 or fewer" in told(text(f"{{domains: [{many}], agree_terms: on}}"))


def test_a_listener_without_any_certificate_is_refused() -> None:
    assert "there is no certificate; add `certificates:" in told(
        "listeners: [{address: ':443', tls: {}}]\nroutes: [{respond: 204}]\n"
    )


def test_where_the_authority_looks_there_should_be_a_listener() -> None:
    warned = [str(one) for one in lowered(acme("challenge: http-01")).warnings]
    assert len(warned) == 1
    assert "asks for the proof at port 80, and no plain listener is there" in warned[0]
    by_http = "{domains: [a.example], agree_terms: on, challenge: http-01}"
    assert lowered(text(by_http, more=", {address: ':80', redirect_https: on}")).warnings == []
    elsewhere = [str(one) for one in lowered(text().replace(":443", ":8443")).warnings]
    assert "at port 443, and this listener is at another one" in elsewhere[0]


def test_several_listeners_may_show_one_certificate() -> None:
    made = lowered(text(more=f", {{address: ':8443', tls: {{acme: {A}}}}}"))
    assert [order.listeners for order in made.orders] == [(0, 1)]


def test_orders_that_are_in_each_others_way_are_refused() -> None:
    other = "{domains: [a.example, b.example], agree_terms: on}"
    assert "`a.example` is already the first name of another order, at t.yaml:1" in told(text(f"[{A}, {other}]"))
    whose = "{domains: [b.example], agree_terms: on, email: me@b.example}"
    assert "there is one account for one directory, and it is another at t.yaml:1" in told(text(f"[{A}, {whose}]"))


def test_a_secret_is_in_no_order_that_is_printed_and_in_no_plan() -> None:
    made = lowered(acme("eab: {kid: kid-1, hmac: c2VjcmV0LXNlY3JldA}"))
    assert "c2VjcmV0" not in repr(made.orders)
    assert b"c2VjcmV0" not in encode(made.plan)


def test_what_came_takes_the_place_of_what_stood_in_and_nothing_else_changes(tmp_path: Path) -> None:
    made = lowered(text("{domains: [a.example, b.example], agree_terms: on}", more=", ':80'"))
    (order,) = made.orders
    signed = Authority(tmp_path).sign("a.example", "old.example")
    kept = parse(signed.key_pem() + b"".join(map(pem, signed.chain)))
    dressed = dress(made.plan, made.orders, {order.name: kept}, {})
    names = [(one.name, one.names) for one in tls(dressed).certificates]
    assert names == [("acme:a.example", ["a.example"]), ("acme:a.example (placeholder)", ["b.example"])]
    assert dress(dressed, made.orders, {order.name: kept}, {}) == dressed
    assert dress(dressed, made.orders, {}, {}) == made.plan


def test_proofs_come_and_go() -> None:
    made = lowered(text(more=", ':80'"))
    (order,) = made.orders
    by_file = Proof("a.example", "token", "token.print", None)
    by_tls = Proof("a.example", "token", "", tls(made.plan).certificates[0])
    dressed = dress(made.plan, made.orders, {}, {order.name: [by_file, by_tls]})
    assert tls(dressed).challenges == [by_tls.certificate]
    route = dressed.routes[-1]
    assert (route.name, route.listeners, route.matches.hosts) == (ROUTE, [1], ["a.example"])
    assert isinstance(route.action, Respond)
    assert dress(dressed, made.orders, {}, {}) == made.plan
