"""What metrics say of targets: of each one, its lines kept until it changes; or of all of them together."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from prometheus_client.core import Metric

from orchestrator.core.model import TargetState
from orchestrator.core.state import TargetRun
from orchestrator.sinks.exposition import PREFIX, Family, Piece, gauge, number, pairs

_STATE, _INSTANCES = f"{PREFIX}target_state", f"{PREFIX}target_instances"
_STATE_HELP = "1 for the target's state, 0 for all others."
_INSTANCES_HELP = "Instances of the target's deployment by status, as CodeDeploy counts them."
_ALL_INSTANCES_HELP = "Instances of all deployments by status, as CodeDeploy counts them."


class TargetView:
    """One target at one moment. Its lines are written by whoever asks first."""

    __slots__ = ("_instance_lines", "_labels", "_state_lines", "overview", "state")

    def __init__(self, labels: str, state: TargetState, overview: Mapping[str, int]) -> None:
        """`labels`: its application and deployment group, as they stand between braces."""
        self._labels = labels
        self.state = state
        self.overview = overview
        self._state_lines: bytes | None = None
        self._instance_lines: bytes | None = None

    def shows(self, target: TargetRun) -> bool:
        """Whether the target still is as it is here."""
        return self.state is target.state and self.overview == target.overview

    def state_lines(self) -> bytes:
        if self._state_lines is None:
            head = f'{_STATE}{{{self._labels},state="'
            self._state_lines = (head + head.join(_state_tails(self.state))).encode()
        return self._state_lines

    def instance_lines(self) -> bytes:
        if self._instance_lines is None:
            head = f"{_INSTANCES}{{{self._labels},"
            self._instance_lines = "".join(
                f"{head}{pairs({'status': status})}}} {number(count)}\n" for status, count in self.overview.items()
            ).encode()
        return self._instance_lines


def view_of(target: TargetRun) -> TargetView:
    labels = pairs({"application": target.application, "deployment_group": target.deployment_group})
    return TargetView(labels, target.state, target.overview)


def of_each_target(targets: Sequence[TargetView]) -> list[Piece]:
    return [
        _counted(targets),
        Family(_STATE, "gauge", _STATE_HELP, b"".join([target.state_lines() for target in targets])),
        Family(_INSTANCES, "gauge", _INSTANCES_HELP, b"".join([target.instance_lines() for target in targets])),
    ]


def of_all_targets(targets: Sequence[TargetView]) -> list[Piece]:
    """Without a series of any one target: how many are in which state says `targets`."""
    instances: Tally[str] = Tally()
    for target in targets:
        instances.update(target.overview)
    samples = [({"status": status}, float(count)) for status, count in instances.items()]
    return [_counted(targets), gauge("target_instances", _ALL_INSTANCES_HELP, samples)]


def _counted(targets: Iterable[TargetView]) -> Metric:
    tally = Tally(target.state for target in targets)
    return gauge(
        "targets", "Targets of the run by state.", [({"state": str(each)}, tally[each]) for each in TargetState]
    )


@cache
def _state_tails(state: TargetState) -> tuple[str, ...]:
    """The ends of a target's lines, one for each state."""
    return tuple(f'{each}"}} {number(each is state)}\n' for each in TargetState)
