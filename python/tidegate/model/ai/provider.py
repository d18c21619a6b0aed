"""Who answers: providers of models, their addresses and credentials."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tidegate.model import defaults
from tidegate.model.ai.price import AiPrice
from tidegate.model.noun import Many, Noun, about
from tidegate.model.secret import Secret
from tidegate.model.units import Duration, Percent
from tidegate.model.upstream import HashBalance, Health, Pool, Tls

Dialect = Literal[
    "openai", "responses", "azure", "anthropic", "gemini", "vertex", "bedrock", "cohere", "mistral", "ollama", "echo"
]


class CredentialPlace(Noun, frozen=True, kw_only=True):
    """Where the credential stands in a call: a header or a query parameter."""

    header: Annotated[str | None, about("The header.", "X-Key")] = None
    prefix: Annotated[str, about("What stands before the key in it.", "Bearer ")] = ""
    query: Annotated[str | None, about("The query parameter.", "key")] = None


CredentialForm = Literal["none", "client", "bearer"] | CredentialPlace


class AiCredential(Noun, frozen=True, kw_only=True):
    """One of several credentials of a provider."""

    api_key: Annotated[Secret | None, about("The key, best as `${ENV}`.")] = None
    access_key: Annotated[str | None, about("AWS: the access key's id.")] = None
    secret_key: Annotated[Secret | None, about("AWS: the secret access key.")] = None
    session_token: Annotated[Secret | None, about("AWS: the token of temporary credentials.")] = None
    name: Annotated[str | None, about("What logs and metrics call it; its number unless given.")] = None
    weight: Annotated[int, Meta(ge=1, le=1000, description="Its share of the calls, 1 to 1000.")] = 1


class AiPool(Pool, frozen=True, kw_only=True):
    """Connections to one endpoint of a provider."""

    idle: Annotated[Duration, about("How long one is kept idle.")] = defaults.AI_POOL_IDLE
    queue: Annotated[Duration, about("How long a call may wait for one.")] = defaults.AI_POOL_QUEUE


class AiLoad(Noun, frozen=True, kw_only=True):
    """How the load of own inference servers is read (vLLM, SGLang, TGI, Triton, llama.cpp)."""

    metrics: Annotated[str, about("Where each endpoint has its Prometheus text.")] = "/metrics"
    every: Annotated[Duration, about("Between two looks.")] = defaults.AI_LOAD_EVERY


class AiProviderTimeouts(Noun, frozen=True, kw_only=True):
    """Waiting times towards a provider; those for tokens are the models'."""

    connect: Annotated[Duration, about("For a connection.")] = defaults.CONNECT


class AiProvider(Noun, frozen=True, kw_only=True):
    """Somebody who answers; what a known provider leaves out is known (`tidegate` knows some forty by name)."""

    like: Annotated[str | None, about("The known provider that it is, where its name is another.", "openai")] = None
    dialect: Annotated[Dialect | None, about("Whose words it speaks; a known provider's own unless given.")] = None
    base_url: Annotated[
        Many | None,
        about(
            "Where it answers; several URLs of one path are one upstream.",
            "https://api.openai.com/v1",
            ["http://gpu1:8000/v1", "http://gpu2:8000/v1"],
        ),
    ] = None
    api_key: Annotated[
        Secret | None,
        about("The key, best as `${ENV}`; a known provider's own variable (`OPENAI_API_KEY`) unless given."),
    ] = None
    credentials: Annotated[list[AiCredential], about("Several keys, by weight, instead of `api_key`.")] = []
    auth: Annotated[
        CredentialForm | None,
        about(
            "How the key is told: `bearer`, `none`, `client` (the client's own credential is passed on), or a header "
            "or parameter; as the dialect has it unless given."
        ),
    ] = None
    region: Annotated[str | None, about("AWS region or Vertex location.", "us-east-1")] = None
    project: Annotated[str | None, about("Vertex project.")] = None
    api_version: Annotated[str | None, about("Azure's api-version; none for the paths without one.")] = None
    access_key: Annotated[str | None, about("AWS: the access key's id; `AWS_ACCESS_KEY_ID` unless given.")] = None
    secret_key: Annotated[Secret | None, about("AWS: the secret access key; `AWS_SECRET_ACCESS_KEY` unless given.")] = (
        None
    )
    session_token: Annotated[Secret | None, about("AWS: the token of temporary credentials.")] = None
    headers: Annotated[dict[str, str], about("Fields that every call carries.")] = {}
    paths: Annotated[
        dict[str, str],
        about(
            "Paths behind `base_url` that differ from the dialect's, by surface; `{model}` stands for the model.",
            {"chat": "/chat"},
        ),
    ] = {}
    unsupported: Annotated[
        Many | None, about("Fields of requests that it can't take; a known provider's own unless given.", ["seed"])
    ] = None
    expose: Annotated[
        bool | list[str] | None,
        about(
            "Which of its models clients may name as `PROVIDER/MODEL`: all, or a list; all where there is no `models`."
        ),
    ] = None
    price: Annotated[
        Literal["free"] | AiPrice | None, about("What its models cost where the catalogue does not know; `free`.")
    ] = None
    discount: Annotated[Percent, about("What is taken off the catalogue's prices.", "10%")] = "0%"
    timeouts: Annotated[AiProviderTimeouts, about("Waiting times towards it.")] = AiProviderTimeouts()
    load: Annotated[AiLoad | bool, about("Whether its load is read from its own metrics, and how.")] = False
    balance: Annotated[
        Literal["least_latency", "least_requests", "round_robin"] | HashBalance,
        about("How one of several `base_url`s is chosen."),
    ] = "least_requests"
    tls: Annotated[Tls | None, about("For `https://`: whom to trust, which name to ask for.")] = None
    pool: Annotated[AiPool, about("Connections that are kept.")] = AiPool()
    health: Annotated[Health, about("When one of several `base_url`s is left out.")] = Health()
