"""What ACME leaves on disk: accounts, certificates with their keys, what became of the last tries.

One folder for each directory URL. A certificate and its key are one file, replaced whole, so that they always belong
together. Nothing is readable by others.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from tidegate.acme.schedule import Record, Term
from tidegate.errors import TidegateError
from tidegate.log import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidegate.lower.acme import Order

MOST_BYTES: Final = 1024 * 1024


class StoreError(TidegateError):
    """Something can't be kept; the text says what and why."""


class Kept(NamedTuple):
    """A certificate that was got."""

    chain: str
    key: str
    names: tuple[str, ...]
    term: Term


class Store:
    """The folder `acme` of a state directory."""

    def __init__(self, state: str) -> None:
        self._path = os.path.join(state, "acme")

    # -- certificates --------------------------------------------------------------------------------------------------

    def certificate(self, order: Order) -> Kept | None:
        """The one that there is; None where there is none that can be used, which is said."""
        path = self._file(order, "pem")
        try:
            content = _read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            say(f"acme: {path} can't be read: {error.strerror}", "error")
            return None
        try:
            return parse(content)
        except ValueError as error:
            say(f"acme: {path} holds no certificate with its key: {error}; another one is asked for", "error")
            return None

    def keep_certificate(self, order: Order, chain: str, key: str) -> None:
        """Replaces the one that there is; raises StoreError."""
        self._write(self._file(order, "pem"), (key.rstrip() + "\n" + chain).encode())

    def signature(self, orders: Sequence[Order]) -> tuple[object, ...]:
        """Something that differs once a certificate has been replaced, by whichever process."""
        found: list[object] = []
        for order in orders:
            try:
                stat = os.stat(self._file(order, "pem"))
                found.append((order.name, stat.st_ino, stat.st_mtime_ns, stat.st_size))
            except OSError:
                found.append((order.name, None))
        return tuple(found)

    # -- what became of tries ------------------------------------------------------------------------------------------

    def record(self, order: Order) -> Record:
        """What is remembered; nothing where it can't be read, which is said."""
        path = self._file(order, "json")
        try:
            return msgspec.json.decode(_read(path), type=Record)
        except FileNotFoundError:
            return Record()
        except (OSError, msgspec.MsgspecError) as error:
            say(f"acme: {path} can't be read: {error}; its waits are forgotten", "warn")
            return Record()

    def keep_record(self, order: Order, record: Record) -> None:
        """Raises StoreError."""
        self._write(self._file(order, "json"), msgspec.json.encode(record) + b"\n")

    # -- accounts ------------------------------------------------------------------------------------------------------

    def account(self, directory: str) -> dict[str, Any]:
        """Key, address and contact of the account there; empty where there is none. Raises StoreError."""
        path = os.path.join(self._folder(directory), "account.json")
        try:
            told = json.loads(_read(path))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            # Another account instead would cost the authority's limits, and lose what the first one may do.
            raise StoreError(f"the account in {path} can't be read: {error}") from error
        return told if isinstance(told, dict) else {}

    def keep_account(self, directory: str, account: dict[str, Any]) -> None:
        """Raises StoreError."""
        path = os.path.join(self._folder(directory), "account.json")
        self._write(path, json.dumps({"directory": directory, **account}).encode() + b"\n")

    # -- who may ask ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def turn(self) -> Iterator[bool]:
        """Whether it is this process's turn to ask an authority: one of all processes at a time. Raises StoreError."""
        try:
            os.makedirs(self._path, mode=0o700, exist_ok=True)
            lock = os.open(os.path.join(self._path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{self._path} can't be used: {error.strerror}") from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True
        finally:
            os.close(lock)

    def _folder(self, directory: str) -> str:
        digest = hashlib.blake2b(directory.encode(), digest_size=4).hexdigest()
        return os.path.join(self._path, f"{urlsplit(directory).hostname or 'authority'}-{digest}")

    def _file(self, order: Order, ending: str) -> str:
        stem = order.name.removeprefix("acme:").replace("/", "-")  # a domain, which has no such sign in it
        return os.path.join(self._folder(order.directory), f"{stem}.{ending}")

    @staticmethod
    def _write(path: str, content: bytes) -> None:
        from tidegate.state import StateError, replace

        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            replace(path, content)
        except StateError as error:
            raise StoreError(str(error)) from error
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}") from error


def parse(content: bytes) -> Kept:
    """A certificate with its chain and its key, in one PEM; raises ValueError with what is wrong."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    begin = content.find(b"-----BEGIN CERTIFICATE-----")
    if begin < 0:
        raise ValueError("there is no certificate")
    chain = x509.load_pem_x509_certificates(content[begin:])
    try:
        key = serialization.load_pem_private_key(content[:begin], None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from error
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != chain[0].public_key().public_bytes(*form):
        raise ValueError("the key does not belong to the certificate")
    try:
        names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise ValueError("it bears no name") from None
    return Kept(
        chain="".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in chain),
        key=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        names=tuple(name.lower() for name in names.get_values_for_type(x509.DNSName)),
        term=Term(chain[0].not_valid_before_utc.timestamp(), chain[0].not_valid_after_utc.timestamp()),
    )


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(MOST_BYTES)
