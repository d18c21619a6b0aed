"""The nouns that people write."""

from __future__ import annotations

import copy
import pickle

import msgspec
import pytest

from tidegate import model
from tidegate.model import defaults, units


def test_a_secret_is_never_printed() -> None:
    secret = model.Secret("hunter2")
    key = model.ApiKey(name="web", key=secret)
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", repr(key), f"{key}", "%s" % secret):  # noqa: UP031
        assert "hunter2" not in shown
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        msgspec.json.encode(key)


def test_a_secret_is_hashed_and_compared() -> None:
    secret = model.Secret("hunter2")
    assert secret.sha256() == "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7"
    assert model.Secret("b").sha256("a:") == model.Secret("a:b").sha256()
    assert secret == model.Secret("hunter2")
    assert secret != model.Secret("hunter3")
    assert not model.Secret("")


def test_a_configuration_never_changes_once_read() -> None:
    with pytest.raises(AttributeError):
        model.Config().workers = 3  # type: ignore[misc]


def test_defaults_are_not_shared_between_configurations() -> None:
    one, other = model.Config(), model.Config()
    one.routes.append(model.Route())
    assert other.routes == []
    assert copy.copy(one) is not one


@pytest.mark.parametrize("name", [name for name in vars(defaults) if name.isupper()])
def test_every_default_is_what_its_key_takes(name: str) -> None:
    value = getattr(defaults, name)
    if isinstance(value, str) and name not in ("ACME_DIRECTORY", "ADMIN_ADDRESS", "AI_TAGS"):
        readers = (units.percent,) if value.endswith("%") else (units.duration, units.size, units.age)
        assert any(reads(reader, value) for reader in readers)


def reads(reader: object, text: str) -> bool:
    assert callable(reader)
    try:
        reader(text)
    except units.Unreadable:
        return False
    return True
