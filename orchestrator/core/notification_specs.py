"""Which notifications there are, and what each is about. Without events: manifests need no more of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from orchestrator.core.model import Outcome

if TYPE_CHECKING:
    from orchestrator.core.state import RunState

NotificationKind = Literal["webhook", "slack", "github", "sns"]

Moment = Literal["started", "resumed", "failed", "approval", "rollback", "waiting", "finished"]
"""What people want to hear of. `waiting`: the process has left, and a resume has to go on."""

MOMENTS: tuple[Moment, ...] = get_args(Moment)

_BAD_ENDS = frozenset({Outcome.FAILED, Outcome.ROLLED_BACK, Outcome.ROLLBACK_FAILED})


@dataclass(frozen=True, kw_only=True, slots=True)
class NotificationSpec:
    """One notification of the manifest, resolved. Holds no secret, only the names of variables that do."""

    name: str
    kind: NotificationKind
    events: tuple[Moment, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What only its kind has, by the manifest's names."""

    def wants(self, moment: Moment, state: RunState) -> bool:
        """`failed` is also about the end of a run that hasn't gone well."""
        if moment == "finished" and "failed" in self.events and state.outcome in _BAD_ENDS:
            return True
        return moment in self.events


def specs_to_list(specs: Sequence[NotificationSpec]) -> list[dict[str, Any]]:
    """JSON-ready; `specs_from_list` reads it back."""
    return [
        {"name": spec.name, "kind": spec.kind, "events": list(spec.events), "settings": dict(spec.settings)}
        for spec in specs
    ]


def specs_from_list(data: Sequence[Mapping[str, Any]] | None) -> tuple[NotificationSpec, ...]:
    """Also of a journal that knows nothing of them."""
    return tuple(NotificationSpec(**{**each, "events": tuple(each["events"])}) for each in data or ())


def missing_variables(spec: NotificationSpec, env: Mapping[str, str]) -> list[str]:
    """The variables that hold its secrets and aren't set."""
    return [name for name in variables_of(spec) if not env.get(name)]


def not_set(names: Sequence[str]) -> str:
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} not set"


def variables_of(spec: NotificationSpec) -> list[str]:
    """The variables that hold its secrets."""
    settings = spec.settings
    if "url_env" in settings:
        names = [settings["url_env"]]
    else:
        names = [settings["token_env"]] if "token_env" in settings else []
    return [*names, settings["secret_env"]] if settings.get("signed") else names
