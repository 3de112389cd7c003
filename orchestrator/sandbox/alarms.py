"""CloudWatch alarms, as far as deployments look at them."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.sandbox.deployments import Deployment
from orchestrator.sandbox.home import Ledger
from orchestrator.sandbox.options import AlarmState


class Alarms:
    """Those of all accounts and regions, by name. One that nobody has set is off."""

    def __init__(self, states: Mapping[str, AlarmState], ledger: Ledger | None = None) -> None:
        """`states`: from the start, unless the ledger knows better."""
        self._ledger = ledger or Ledger()
        self._states: dict[str, AlarmState] = {name: state for name, state in states.items() if state != "off"}
        for name, data in self._ledger.records("alarm"):
            self.set(name, data["state"])

    def set(self, name: str, state: AlarmState) -> None:
        self._ledger.note("alarm", name, lambda: {"state": state})
        if state == "off":
            self._states.pop(name, None)
        else:
            self._states[name] = state

    def states(self) -> dict[str, AlarmState]:
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
