"""LiteLLM's config.yaml: models, their deployments, fallbacks, keys and what the router does."""

from __future__ import annotations

import re
from typing import Any, Final

from tidegate.convert.written import Converted, ConvertError, Piece

__all__ = ["convert"]

_PROVIDERS: Final = {
    "azure_ai": "azure", "bedrock_converse": "bedrock", "cohere_chat": "cohere", "fireworks_ai": "fireworks",
    "hosted_vllm": "vllm",
    "lm_studio": "lmstudio", "ollama_chat": "ollama", "together_ai": "together", "vertex_ai": "vertex",
    "vertex_ai_beta": "vertex",
    "lambda_ai": "lambda", "featherless_ai": "featherless", "nvidia_nim": "nvidia", "jina_ai": "jina",
    "vercel_ai_gateway": "vercel",
}  # fmt: skip
"""LiteLLM's names of providers that are called otherwise here."""
_BALANCE: Final = {
    "simple-shuffle": "weight", "least-busy": "least_busy", "latency-based-routing": "latency",
    "cost-based-routing": "cost",
    "usage-based-routing": "headroom", "usage-based-routing-v2": "headroom",
}  # fmt: skip
_CAUSES: Final = {
    "context_window_fallbacks": ["context_too_long"],
    "content_policy_fallbacks": ["content_filter"],
    "fallbacks": None,
}
_KNOWN: Final = {
    "model",
    "api_key",
    "api_base",
    "api_version",
    "aws_region_name",
    "vertex_location",
    "vertex_project",
    "weight",
    "rpm",
    "tpm",
    "timeout",
    "stream_timeout",
    "max_retries",
    "input_cost_per_token",
    "output_cost_per_token",
    "order",
}


def convert(text: str, name: str) -> Converted:
    """A whole config.yaml."""
    import yaml

    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ConvertError(
            name, mark.line + 1 if mark else 1, f"is no YAML: {getattr(error, 'problem', error)}"
        ) from error
    if not isinstance(data, dict) or not isinstance(data.get("model_list"), list):
        raise ConvertError(name, 1, "there is no `model_list`")
    return _Whole(Converted(name), text, data).converted()


class _Whole:
    def __init__(self, out: Converted, text: str, data: dict[str, Any]) -> None:
        self.out, self.text, self.data = out, text, data
        self.providers: dict[str, dict[str, Any]] = {}
        self.models: dict[str, dict[str, Any]] = {}

    def converted(self) -> Converted:
        """The AI gateway that does the same."""
        out = self.out
        out.head["listeners"] = [":4000"]
        out.routes.append(Piece({"match": {"path": "/"}, "ai": {}}))
        for entry in self.data["model_list"]:
            self._deployment(entry)
        settings = {**(self.data.get("litellm_settings") or {}), **(self.data.get("router_settings") or {})}
        self._settings(settings)
        tail: dict[str, Any] = {"providers": self.providers, "models": self.models}
        general = self.data.get("general_settings") or {}
        if general.get("master_key"):
            tail["keys"] = [{"name": "master", "key": _secret(general.pop("master_key"))}]
            self._tell(
                "master_key",
                "the master key becomes a virtual key with no limits; the admin API is the control socket's",
            )
        for key in general:
            self._tell(
                key,
                f"general_settings.{key} is left out"
                + (": keys and usage are kept in an embedded database" if "database" in key else ""),
            )
        for section in self.data:
            if section not in (
                "model_list",
                "litellm_settings",
                "router_settings",
                "general_settings",
                "environment_variables",
            ):
                self._tell(section, f"`{section}` is left out")
        if self.data.get("environment_variables"):
            self._tell(
                "environment_variables", "environment_variables are left out: set them in the service's environment"
            )
        out.tail["ai"] = tail
        return out

    def _deployment(self, entry: Any) -> None:
        if (
            not isinstance(entry, dict)
            or not isinstance(entry.get("litellm_params"), dict)
            or "model" not in entry["litellm_params"]
        ):
            raise ConvertError(
                self.out.source, self._line("model_list"), "an entry of `model_list` has no litellm_params.model"
            )
        shown, asked = str(entry.get("model_name", "")), entry["litellm_params"]
        told, _, model = str(asked["model"]).partition("/")
        if not model:
            told, model = "openai", told
        provider = self._provider(_PROVIDERS.get(told, told), asked)
        target: Any = f"{provider}/{model}"
        extra: dict[str, Any] = {}
        if asked.get("weight") is not None:
            extra["weight"] = int(asked["weight"])
        if asked.get("input_cost_per_token") is not None or asked.get("output_cost_per_token") is not None:
            prices = {"input": asked.get("input_cost_per_token"), "output": asked.get("output_cost_per_token")}
            extra["price"] = {side: _per_million(cost) for side, cost in prices.items() if cost is not None}
        for key in ("rpm", "tpm"):
            if asked.get(key) is not None:
                self._tell(
                    shown,
                    f"{key}: {asked[key]} of {shown} is left out: limits belong to keys here",
                )
        if extra:
            target = {"provider": provider, "model": model, **extra}
        made = self.models.setdefault(shown, {"targets": []})
        made["targets"].append(target)
        if asked.get("timeout") is not None:
            made.setdefault("timeouts", {})["total"] = f"{asked['timeout']}s"
        if asked.get("stream_timeout") is not None:
            made.setdefault("timeouts", {})["first_token"] = f"{asked['stream_timeout']}s"
        if asked.get("max_retries") is not None:
            made["attempts"] = int(asked["max_retries"]) + 1
        for key in set(asked) - _KNOWN:
            self._tell(shown, f"litellm_params.{key} of {shown} is left out")

    def _provider(self, told: str, asked: dict[str, Any]) -> str:
        """The name of a provider with these settings; several with other settings get numbers."""
        settings: dict[str, Any] = {}
        if asked.get("api_base"):
            settings["base_url"] = _environment(asked["api_base"])
        if asked.get("api_key"):
            settings["api_key"] = _secret(asked["api_key"])
        region = asked.get("aws_region_name") or asked.get("vertex_location")
        if region:
            settings["region"] = _environment(region)
        if asked.get("vertex_project"):
            settings["project"] = _environment(asked["vertex_project"])
        if asked.get("api_version"):
            settings["api_version"] = _environment(asked["api_version"])
        name, number = told, 1
        while (
            name in self.providers
            and {key: value for key, value in self.providers[name].items() if key != "like"} != settings
        ):
            number += 1
            name = f"{told}-{number}"
        self.providers[name] = {"like": told, **settings} if name != told else settings
        return name

    def _settings(self, settings: dict[str, Any]) -> None:
        for key, value in settings.items():
            if key == "routing_strategy" and value in _BALANCE:
                for model in self.models.values():
                    if len(model["targets"]) > 1 and _BALANCE[value] != "weight":
                        model["balance"] = _BALANCE[value]
            elif key in _CAUSES and isinstance(value, list):
                for pair in value:
                    for name, others in pair.items():
                        self._fallback(key, name, others)
            elif key == "num_retries":
                for model in self.models.values():
                    model.setdefault("attempts", min(16, int(value) + 1))
            elif key in ("request_timeout", "timeout"):
                for model in self.models.values():
                    model.setdefault("timeouts", {}).setdefault("total", f"{value}s")
            elif key == "cooldown_time":
                for model in self.models.values():
                    model["cooldown"] = f"{value}s"
            elif key == "cache" and value is True:
                for model in self.models.values():
                    model["cache"] = True
                self._tell(key, "answers are kept in this process's memory, not in Redis")
            elif key == "drop_params":
                for model in self.models.values():
                    model["drop_unsupported"] = bool(value)
            else:
                self._tell(key, f"`{key}` is left out")

    def _fallback(self, key: str, name: str, others: list[str]) -> None:
        causes = _CAUSES[key]
        names = list(self.models) if name == "*" else [name]
        for one in names:
            if one not in self.models:
                raise ConvertError(
                    self.out.source, self._line(key), f"`{key}` names the model {one}, which is not in `model_list`"
                )
            known: list[Any] = self.models[one].setdefault("fallback", [])
            known += [{"model": other, "on": causes} if causes else other for other in others if other != one]

    def _tell(self, word: str, what: str) -> None:
        self.out.notes.append(self.out.note(self._line(word), what))

    def _line(self, word: str) -> int:
        found = re.search(rf"^.*\b{re.escape(word)}\b", self.text, re.MULTILINE)
        return self.text.count("\n", 0, found.start()) + 1 if found else 1


def _environment(value: Any) -> str:
    text = str(value)
    return "${" + text.removeprefix("os.environ/") + "}" if text.startswith("os.environ/") else text


def _secret(value: Any) -> str:
    return _environment(value)


def _per_million(cost: Any) -> str:
    from decimal import Decimal

    return f"{(Decimal(str(cost)) * 1_000_000).normalize():f}"
