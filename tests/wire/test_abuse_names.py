"""An upstream whose name was not answered for yet is waited for, and one whose name has no address is told at once."""

from __future__ import annotations

from tests.conftest import Serve, Start


def test_requests_wait_for_the_first_answer_on_an_upstreams_name(start: Start, serve: Serve) -> None:
    """Every reload brings a name that nobody has looked up yet, and a request comes right behind it."""
    gateway = start({"routes": [{"respond": 204}]})
    for _ in range(15):
        upstream = serve()
        url = f"http://localhost:{upstream.port}"
        gateway.reload({"routes": [{"upstream": url, "retry": "off"}]})
        assert gateway.get().status == 200
    assert gateway.metrics().sum("tidegate_refusals_total", reason="no_endpoint") == 0


def test_a_name_without_an_address_is_no_endpoint(start: Start) -> None:
    gateway = start({"routes": [{"upstream": "http://no-such-name.invalid:80", "retry": "off"}]})
    answer = gateway.get()
    assert answer.status == 503
    assert answer.problem == "no_endpoint"
