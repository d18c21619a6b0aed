"""One conversation with an authority: account, order, proofs, certificate. The only module that knows the library.

It blocks, and so runs in a thread of its own. The library (`acme`, `josepy`, certbot's own) is imported with this
module, which is imported when the first certificate is asked for.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import time
from typing import TYPE_CHECKING, Any, Final

import requests
from acme import challenges, client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC

import tidegate
from tidegate import plan
from tidegate.acme.dress import Proof
from tidegate.acme.fault import Fault, from_problem
from tidegate.acme.schedule import Reason
from tidegate.acme.store import StoreError, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tidegate.acme.store import Kept, Store
    from tidegate.lower.acme import Order

ANSWER_S: Final = 30
"""How long an authority may take for one answer."""
VALIDATED_S: Final = 120.0
"""How long it may take to look at all proofs: it asks from several places, and again after failures of its own."""
ISSUED_S: Final = 120.0
_LOOK_S: Final = 0.5, 3.0
_RSA_BITS: Final = 2048
_PROOF_S: Final = 86400


@challenges.ChallengeResponse.register
class _TlsAlpn01Response(challenges.KeyAuthorizationChallengeResponse):
    typ = "tls-alpn-01"


@challenges.Challenge.register
class _TlsAlpn01(challenges.KeyAuthorizationChallenge):
    """RFC 8737; the library has left it to others."""

    typ = "tls-alpn-01"
    response_cls = _TlsAlpn01Response

    def validation(self, account_key: JWK, **_: Any) -> str:
        return self.key_authorization(account_key)


class Authority:
    """An authority, as far as one order is concerned. Every method raises Fault and StoreError, and nothing else."""

    def __init__(self, order: Order, store: Store, going: Callable[[], bool]) -> None:
        """`going`: whether to go on; looked at between any two requests."""
        self._order = order
        self._store = store
        self._going = going
        self._wait_s = 0.0
        self._net: client.ClientNetwork | None = None

    def obtain(self, present: Callable[[Sequence[Proof]], None]) -> tuple[str, str, Kept]:
        """A new certificate: its chain and its key in PEM, and the same looked over.

        `present` puts proofs where the authority looks for them, in place of those before; it returns once they are
        there. In the end there are none.
        """
        with self._faults():
            talk = self._client()
            key = _new_key(self._order.key)
            order = self._new_order(talk, key)
            try:
                self._prove(talk, order, present)
            finally:
                present(())
            self._go_on()
            chain = self._finish(talk, order)
        return chain, key, self._checked(chain, key)

    def renewal(self, chain: str) -> tuple[float | None, float]:
        """When the authority wants that certificate renewed (None: it does not say), and when to ask it again."""
        with self._faults():
            net = self._network(None)
            talk = client.ClientV2(client.ClientV2.get_directory(self._order.directory, net), net)
            wanted, again = talk.renewal_time(chain.encode())
            return None if wanted is None else wanted.timestamp(), again.timestamp()

    # -- account -------------------------------------------------------------------------------------------------------

    def _client(self) -> client.ClientV2:
        account = self._store.account(self._order.directory)
        if "key" not in account:
            made = ec.generate_private_key(ec.SECP256R1())
            account = {"key": JWKEC(key=made).to_partial_json(), "uri": None, "email": None}
            self._store.keep_account(self._order.directory, account)  # before anybody knows it
        key = _account_key(account)
        net = self._network(key)
        talk = client.ClientV2(client.ClientV2.get_directory(self._order.directory, net), net)
        if account.get("uri"):
            body = messages.Registration()
            net.account = messages.RegistrationResource(uri=account["uri"], body=body)
            if account.get("email") == self._order.email:
                return talk
            try:
                contact = messages.Registration.from_data(email=self._order.email, contact=())
                self._go_on()
                talk.net.post(
                    account["uri"],
                    messages.UpdateRegistration(contact=contact.contact),
                    new_nonce_url=talk.directory["newNonce"],
                )
            except messages.Error as error:
                if error.code != "accountDoesNotExist":
                    raise
                account["uri"] = None
        if not account.get("uri"):
            account["uri"] = self._register(talk, key)
        self._store.keep_account(self._order.directory, {**account, "email": self._order.email})
        return talk

    def _register(self, talk: client.ClientV2, key: JWK) -> str:
        meta = getattr(talk.directory, "meta", None)
        if self._order.eab is None and getattr(meta, "external_account_required", False):
            raise from_problem("externalAccountRequired", "", ())
        binding = None
        if self._order.eab is not None:
            kid, hmac = self._order.eab
            binding = messages.ExternalAccountBinding.from_data(
                key.public_key(), kid, hmac.for_wire().rstrip("="), talk.directory
            )
        self._go_on()
        talk.net.account = None
        wanted = messages.NewRegistration.from_data(
            email=self._order.email, terms_of_service_agreed=True, external_account_binding=binding
        )
        try:
            return str(talk.new_account(wanted).uri)
        except errors.ConflictError as error:  # the key is known there: it is our own account
            talk.net.account = messages.RegistrationResource(uri=error.location, body=messages.Registration())
            return str(error.location)

    def _network(self, key: JWK | None) -> client.ClientNetwork:
        net = client.ClientNetwork(
            key,
            alg=ES256,
            verify_ssl=self._order.ca or True,  # type: ignore[arg-type]  # handed to requests, which takes a file too
            user_agent=f"tidegate/{tidegate.__version__}",
            timeout=ANSWER_S,
        )
        net.session.hooks["response"].append(self._heard)
        self._net = net
        return net

    def _heard(self, response: requests.Response, *_: object, **__: object) -> None:
        """How long the authority wants to be left alone; its errors say it in a field that the library drops."""
        self._wait_s = 0.0
        if response.status_code in (429, 503) and "Retry-After" in response.headers:
            until = client.ClientV2.retry_after(response, 0)
            self._wait_s = max(0.0, (until - dt.datetime.now()).total_seconds())  # as the library has it

    # -- order ---------------------------------------------------------------------------------------------------------

    def _new_order(self, talk: client.ClientV2, key: str) -> messages.OrderResource:
        request = _request(key, self._order.domains)
        self._go_on()
        try:
            return talk.new_order(request)
        except messages.Error as error:
            if error.code != "accountDoesNotExist":
                raise
        # The authority has lost it, or somebody has put another authority behind the address.
        account = self._store.account(self._order.directory)
        account["uri"] = self._register(talk, _account_key(account))
        self._store.keep_account(self._order.directory, account)
        self._go_on()
        return talk.new_order(request)

    def _prove(
        self, talk: client.ClientV2, order: messages.OrderResource, present: Callable[[Sequence[Proof]], None]
    ) -> None:
        key = talk.net.key
        assert key is not None, "the client was made with the account's key"
        proofs, asked = [], []
        for authorization in order.authorizations:
            if authorization.body.status == messages.STATUS_VALID:
                continue
            domain = authorization.body.identifier.value
            offered = {challenge.chall.typ: challenge for challenge in authorization.body.challenges}
            challenge = offered.get(self._order.challenge)
            if challenge is None:
                told = ", ".join(f"`{name}`" for name in sorted(offered)) or "nothing"
                raise Fault(
                    Reason.NOT_OFFERED,
                    f"the authority takes no `{self._order.challenge}` for {domain}; it takes {told}",
                )
            content = challenge.chall.key_authorization(key)
            by_tls = self._order.challenge == "tls-alpn-01"
            proofs.append(
                Proof(
                    domain=domain,
                    token=challenge.chall.encode("token"),
                    content="" if by_tls else content,
                    certificate=_proof_certificate(self._order.name, domain, content) if by_tls else None,
                )
            )
            asked.append((challenge, authorization))
        if not proofs:
            return
        present(proofs)
        for challenge, _ in asked:
            self._go_on()
            talk.answer_challenge(challenge, challenge.response(key))
        self._validated(talk, [authorization for _, authorization in asked])

    def _validated(self, talk: client.ClientV2, waiting: list[messages.AuthorizationResource]) -> None:
        until = time.monotonic() + VALIDATED_S
        pause = _LOOK_S[0]
        refused = []
        while waiting:
            if time.monotonic() > until:
                names = ", ".join(one.body.identifier.value for one in waiting)
                raise Fault(
                    Reason.TIMEOUT, f"the authority has not looked at the proof for {names} in {VALIDATED_S:g} s"
                )
            time.sleep(pause)
            pause = min(pause * 1.5, _LOOK_S[1])
            left = []
            for one in waiting:
                self._go_on()
                looked, _ = talk.poll(one)
                if looked.body.status == messages.STATUS_PENDING:
                    left.append(one)
                elif looked.body.status != messages.STATUS_VALID:
                    refused.append(looked)
            waiting = left
        if refused:
            raise _not_proven(refused)

    def _finish(self, talk: client.ClientV2, order: messages.OrderResource) -> str:
        until = dt.datetime.now() + dt.timedelta(seconds=ISSUED_S)  # as the library has it
        return str(talk.finalize_order(order, until).fullchain_pem)

    def _checked(self, chain: str, key: str) -> Kept:
        try:
            kept = parse((key + "\n" + chain).encode())
        except ValueError as error:
            raise Fault(
                Reason.BAD_CERTIFICATE, f"what the authority gave is no certificate for the key: {error}"
            ) from None
        if missing := [name for name in self._order.domains if name not in kept.names]:
            told = ", ".join(missing)
            raise Fault(Reason.BAD_CERTIFICATE, f"the certificate that the authority gave does not bear {told}")
        if kept.term.until_s <= time.time():
            raise Fault(
                Reason.BAD_CERTIFICATE,
                "the certificate that the authority gave has expired already; see that the clock is right",
            )
        return kept

    def _go_on(self) -> None:
        if not self._going():
            raise Fault(Reason.CANCELLED, "this process ends, or is configured anew")

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        """Everything that the library can raise, in plain words."""
        where = self._order.directory
        try:
            yield
        except (Fault, StoreError):
            raise
        except messages.Error as error:
            raise _of(error, self._wait_s) from error
        except errors.IssuanceError as error:
            raise _of(error.error, self._wait_s) from error
        except errors.TimeoutError as error:
            raise Fault(Reason.TIMEOUT, f"the authority has not made the certificate in {ISSUED_S:g} s") from error
        except errors.ARIError as error:
            raise Fault(Reason.NOT_ACME, f"the authority does not say when to renew: {error.__cause__}") from error
        except requests.exceptions.SSLError as error:
            told = f"{where} is not trusted ({_innermost(error)}); name the file with its authority as `ca`"
            raise Fault(Reason.UNREACHABLE, told) from error
        except requests.exceptions.JSONDecodeError as error:
            raise Fault(Reason.NOT_ACME, f"{where} is no ACME directory: it answers without JSON") from error
        except requests.exceptions.RequestException as error:
            told = f"{where} can't be reached ({_innermost(error)}); see that this machine may connect to it"
            raise Fault(Reason.UNREACHABLE, told, self._wait_s) from error
        except (errors.Error, JoseError, KeyError, ValueError, TypeError, AttributeError) as error:
            told = f"{where} does not answer as an ACME server does: {_short(error)}; see that `directory` is right"
            raise Fault(Reason.NOT_ACME, told, self._wait_s) from error
        finally:
            if self._net is not None:
                self._net.session.close()


def _account_key(account: dict[str, Any]) -> JWK:
    try:
        key = JWK.from_json(account["key"])
    except (JoseError, ValueError, TypeError) as error:
        raise StoreError(f"the key of the account that is kept can't be read: {_short(error)}") from error
    assert isinstance(key, JWK), "what JWK reads is one"
    return key


def _of(error: messages.Error, wait_s: float) -> Fault:
    parts = [
        (sub.identifier.value if sub.identifier is not None else "", sub.detail or "")
        for sub in error.subproblems or ()
    ]
    code = str(error.typ).rsplit(":", maxsplit=1)[-1]
    return from_problem(code, error.detail or error.title or "", parts, wait_s)


def _not_proven(refused: list[messages.AuthorizationResource]) -> Fault:
    """The authority looked, and tells for each name what it found."""
    for one in refused:
        for challenge in one.body.challenges:
            if challenge.error is not None:
                fault = _of(challenge.error, 0.0)
                return Fault(Reason.CHALLENGE_FAILED, f"{one.body.identifier.value}: {fault.text}")
    names = ", ".join(one.body.identifier.value for one in refused)
    return Fault(Reason.CHALLENGE_FAILED, f"the authority found no proof for {names}, and does not say why")


def _new_key(kind: str) -> str:
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = (
        ec.generate_private_key(ec.SECP256R1()) if kind == "ecdsa" else rsa.generate_private_key(65537, _RSA_BITS)
    )
    return _pem(key)


def _request(key: str, domains: tuple[str, ...]) -> bytes:
    loaded = serialization.load_pem_private_key(key.encode(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey), "it was made by _new_key"
    names = x509.SubjectAlternativeName([x509.DNSName(domain) for domain in domains])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    made = builder.add_extension(names, critical=False).sign(loaded, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def _proof_certificate(name: str, domain: str, content: str) -> plan.Certificate:
    """RFC 8737 section 3: signed by itself, for that one domain, with the key authorisation's digest in it."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ACME challenge")])
    digest = b"\x04\x20" + hashlib.sha256(content.encode()).digest()  # an OCTET STRING
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(seconds=_PROOF_S))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(domain)]), critical=False)
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"), digest), critical=True)
        .sign(key, hashes.SHA256())
    )
    return plan.Certificate(
        name=f"{name} (proof for {domain})",
        names=[domain],
        chain=made.public_bytes(serialization.Encoding.PEM).decode(),
        key=_pem(key),
        ocsp="",
        not_after_s=int(now.timestamp()) + _PROOF_S,
    )


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _innermost(error: BaseException) -> str:
    """What the operating system said, without what the libraries on the way have wrapped around it."""
    seen: BaseException = error
    while True:
        inner = getattr(seen, "reason", None) or seen.__cause__ or seen.__context__
        if not isinstance(inner, BaseException) and seen.args and isinstance(seen.args[0], BaseException):
            inner = seen.args[0]
        if not isinstance(inner, BaseException) or inner is seen:
            return _short(seen)
        seen = inner


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return json.dumps(text[:200], ensure_ascii=True)[1:-1]
