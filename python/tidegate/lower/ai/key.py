"""Keys: those of the configuration by hash, those of the store as they are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate import plan_ai as form
from tidegate.load.problems import closest
from tidegate.lower.auth import lower_access
from tidegate.lower.work import each
from tidegate.model import units
from tidegate.model.ai.key import AUDIO, AiKey, Open
from tidegate.plan_part import Access

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidegate.lower.ai.account import Accounts
    from tidegate.lower.ai.guard import Guards
    from tidegate.lower.ai.names import ModelNames
    from tidegate.lower.ai.store import AiStore, StoredKey
    from tidegate.lower.work import Path, Work

__all__ = ["Keys"]


class Keys:
    """Who may ask."""

    def __init__(self, work: Work, names: ModelNames, accounts: Accounts, guards: Guards) -> None:
        self.work = work
        self.names = names
        self.accounts = accounts
        self.guards = guards
        self._places: dict[str, str] = {}
        self._digests: dict[str, str] = {}

    def lower(self, stored: Sequence[StoredKey]) -> list[form.AiKey]:
        """All keys, the configuration's first; what is wrong with those is noted."""
        made = [self._written(key, ("ai", "keys", index)) for index, key in enumerate(self.work.config.ai.keys)]
        return made + [made_key for key in stored if (made_key := self._stored(key)) is not None]

    def open(self, store: AiStore | None) -> tuple[bool, list[int]]:
        """Whether calls without a key are let in, and which accounts hold for them."""
        written, path = self.work.config.ai.open, ("ai", "open")
        if isinstance(written, Open):
            return True, self.accounts.spend("open", written, path) + self.accounts.tags
        if written is None:
            written = not self.work.config.ai.keys and not (store is not None and store.exists)
        return written, list(self.accounts.tags) if written else []

    def _written(self, key: AiKey, path: Path) -> form.AiKey:
        work = self.work
        if (key.key is None) == (key.sha256 is None):
            what = "`key` and `sha256` are both here" if key.key is not None else "`key` is missing"
            right = "keep one of them" if key.key is not None else 'add `key: "${NAME}"` or `sha256: …`'
            work.error(path, what, right)
        digest = key.key.sha256() if key.key is not None else key.sha256 or ""
        self._check_name(key.name, digest, path)
        self._check_owner(key, path)
        owner = f"key {key.name}"
        own = self.accounts.spend(owner, key, path)
        models: list[int] | None = None
        if key.models is not None:
            at = (*path, "models")
            mapping = isinstance(key.models, dict)
            entries = (
                [(name, (*at, name)) for name in key.models]
                if isinstance(key.models, dict)
                else list(each(key.models, at))
            )
            models = sorted(
                {index for name, where in entries for index in self.names.matching_or_told(name, where, key=mapping)}
            )
            if not entries:
                work.error(at, "this key may ask nothing", "name a model, or leave `models` out for all")
            if isinstance(key.models, dict):
                for name, spend in key.models.items():
                    own += self.accounts.for_model(owner, name, spend, (*at, name))
        if key.surfaces == []:
            work.error(
                (*path, "surfaces"), "this key may ask nothing", "name a surface, or leave `surfaces` out for all"
            )
        tags = list(dict.fromkeys(tag for tag, at in each(key.tags, (*path, "tags")) if self._is_tag(tag, at)))
        return form.AiKey(
            name=key.name,
            sha256=digest or "0" * 64,
            tenant=key.tenant,
            team=key.team,
            user=key.user,
            models=None if models is None or len(models) == len(self.names.all) else models,
            surfaces=_surfaces(key.surfaces) if key.surfaces is not None else None,
            access=lower_access(key.access, (*path, "access"), work) if key.access is not None else None,
            expires_ms=units.moment(key.expires) if key.expires is not None else None,
            accounts=own + self.accounts.of(key.tenant, key.team, key.user),
            guards=self.guards.indices(key.guards, (*path, "guards")),
            tags=tags,
        )

    def _stored(self, key: StoredKey) -> form.AiKey | None:
        """A stored key; None where the configuration has the same one, which then goes first.

        While a secret is rotated, a stored key comes twice with one name: both pay from the same accounts.
        """
        if key.sha256 in self._digests:
            return None
        name = key.name if key.name not in self._places else f"{key.name} (stored)"
        self._digests[key.sha256] = name
        owner = f"key {name}"
        own = [index for entry in key.spend if (index := self.accounts.stored(owner, entry)) is not None]
        models = None
        if key.models is not None:
            models = sorted({index for model in key.models for index in self.names.matching(model)})
            missing = [model for model in key.models if not self.names.matching(model)]
            if missing:
                shown = ", ".join(f"`{model}`" for model in missing)
                right = "add the model, or change the key by `tidegate keys`"
                self.work.warn(("ai",), f"the stored key `{name}` may ask {shown}, which is no model", right)
        return form.AiKey(
            name=name,
            sha256=key.sha256,
            tenant=key.tenant,
            team=key.team,
            user=key.user,
            models=models,
            surfaces=_surfaces(key.surfaces) if key.surfaces is not None else None,
            access=Access(allow=list(key.allow), deny=[]) if key.allow else None,
            expires_ms=key.expires_ms,
            accounts=own + self.accounts.of(key.tenant, key.team, key.user),
            guards=[],
            tags=list(key.tags),
        )

    def _check_name(self, name: str, digest: str, path: Path) -> None:
        if not name or not name.isprintable():
            self.work.error((*path, "name"), "the name is empty or cannot be printed", "write what usage shall call it")
        elif name in self._places:
            what = f"`{name}` is already the name of the key at {self._places[name]}"
            self.work.error((*path, "name"), what, "give it another")
        elif digest and digest in self._digests:
            self.work.error(path, f"this is the same key as `{self._digests[digest]}`", "keep one of them")
        self._places.setdefault(name, self.work.place(path))
        if digest:
            self._digests.setdefault(digest, name)

    def _check_owner(self, key: AiKey, path: Path) -> None:
        if key.team and not key.tenant:
            self.work.error((*path, "team"), "a team belongs to a tenant", "add `tenant: NAME`")
        if key.user and not key.tenant:
            self.work.error((*path, "user"), "a user belongs to a tenant", "add `tenant: NAME`")
        tenants = self.work.config.ai.tenants
        if not key.tenant or not tenants:
            return
        tenant = tenants.get(key.tenant)
        levels: list[tuple[str, str, dict[str, object]]] = [("tenant", key.tenant, {**tenants})]
        if tenant is not None:
            levels.append(("team", key.team, {**tenant.teams}))
            team = tenant.teams.get(key.team)
            levels.append(("user", key.user, {**(team.users if team is not None else tenant.users)}))
        for called, name, known in levels:
            meant = closest(name, list(known)) if name and name not in known else None
            if meant is not None:
                what = f"no {called} is called `{name}`, so only the key's own bounds hold"
                self.work.warn((*path, called), what, f"did you mean `{meant}`?")

    def _is_tag(self, tag: str, path: Path) -> bool:
        right = bool(tag) and tag.isprintable() and "," not in tag and tag == tag.strip()
        if not right:
            self.work.error(path, f"`{tag}` cannot be a tag", "write it without commas and blanks around it")
        return right


def _surfaces(written: Sequence[str]) -> list[str]:
    """Each once; `audio` is three."""
    return list(dict.fromkeys(name for entry in written for name in (AUDIO if entry == "audio" else (entry,))))
