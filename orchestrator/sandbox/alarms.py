"""CloudWatch alarms, as far as deployments look at them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from orchestrator.sandbox.deployments import Deployment
from orchestrator.sandbox.home import Ledger

State = Literal["on", "off", "unreadable"]


class Alarms:
    """Those of all accounts and regions, by name. One that nobody has set is off."""

    def __init__(self, on: Iterable[str] = (), ledger: Ledger | None = None) -> None:
        """`on`: those that are from the start, unless the ledger knows better."""
        self._ledger = ledger or Ledger()
        self._states: dict[str, State] = dict.fromkeys(on, "on")
        for name, data in self._ledger.records("alarm"):
            self.set(name, data["state"])

    def set(self, name: str, state: State) -> None:
        self._ledger.note("alarm", name, lambda: {"state": state})
        if state == "off":
            self._states.pop(name, None)
        else:
            self._states[name] = state

    def states(self) -> dict[str, State]:
        """Those that aren't off."""
        return dict(self._states)

    def against(self, deployment: Deployment) -> str | None:
        """Why the deployment has to stop: an alarm of its configuration is on. A rollback is not watched."""
        configuration = deployment.alarm_configuration
        if not self._states or not configuration.get("enabled") or deployment.creator == "codeDeployRollback":
            return None
        for alarm in configuration.get("alarms") or ():
            match self._states.get(alarm.get("name", "")):
                case "on":
                    return alarm_message(alarm["name"])
                case "unreadable" if not configuration.get("ignorePollAlarmFailure"):
                    return f"The deployment was stopped because the state of the alarm {alarm['name']} can't be read."
                case _:
                    pass
        return None


def alarm_message(name: str) -> str:
    return f"The deployment was stopped because the alarm {name} went off."
