"""What will become of an event: how long it takes, whether it fails, whether its agent hears of it at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from orchestrator.sandbox.deployments import Deployment
from orchestrator.sandbox.errors import Json
from orchestrator.sandbox.inventory import Inventory
from orchestrator.sandbox.lifecycle import FORGIVEN, NEVER, TRAFFIC, Diagnostics, Track, broken
from orchestrator.sandbox.options import Faults, Function, Place, SandboxOptions
from orchestrator.sandbox.revisions import revision_name

HOUR = 3600.0
MINUTE = 60.0

LONGEST_EVENT = HOUR
LONGEST = {"in_place": 12 * HOUR, "blue_green": 109 * HOUR, "blue_green_back": 109 * HOUR, "lambda": 50 * HOUR}
LONGEST_READY_WAIT = 48 * HOUR
UNHEARD = 5 * MINUTE
"""How long an event waits for its agent to begin it."""
LOST = 70 * MINUTE
"""How long an agent may be silent in the middle of an event."""

_UNHEARD = broken(
    "CodeDeploy agent was not able to receive the lifecycle event. Check the CodeDeploy agent logs on your host and "
    "make sure the agent is running and can connect to the CodeDeploy server."
)
_LOST = broken("The instance was lost: its agent began the event and has not been heard of since.")
_RESTARTED = broken("The agent was restarted while the event ran.")
_TOO_LONG = broken("The event did not end within 3600 seconds.", "ScriptTimedOut")
_UNREPORTED = broken("The function did not report within one hour.")
_HOOK_FAILED = broken("The function reported that it failed.", "ScriptFailed")


@dataclass(frozen=True, slots=True)
class Fate:
    """Of one event on one instance."""

    seconds: float = 0.0
    """On the sandbox's clock. `NEVER`: it goes on until it is stopped."""
    outcome: Diagnostics | None = None
    """What it fails with."""
    begins: bool = True
    is_external: bool = False
    hook: str = ""


AT_ONCE = Fate()


class Course:
    """Of one account and region. Every length is decided by the seed, the place and the number of the deployment."""

    lost = _LOST
    restarted = _RESTARTED
    hook_failed = _HOOK_FAILED

    def __init__(
        self, options: SandboxOptions, faults: Callable[[], Faults], inventory: Inventory, *, has_agents: bool = False
    ) -> None:
        """`has_agents`: events of instances are carried out by agents, not by this clock."""
        self._options = options
        self._faults = faults
        self._inventory = inventory
        self._has_agents = has_agents
        self.lead = self.scaled(options.speeds.lead)
        self.drain = self.scaled(options.speeds.drain)
        self.lost_after = self.scaled(LOST)

    def scaled(self, seconds: float) -> float:
        scale = self._options.time_scale
        return seconds / scale if scale else 0.0

    def scaled_wait(self, seconds: float) -> float:
        """Of a wait for somebody: at time scale 0 it takes what it takes, or nobody could ever come in time."""
        return seconds / (self._options.time_scale or 1.0)

    # --- deployments

    def longest(self, deployment: Deployment) -> float:
        """How long it may take; at time scale 0 as long as it likes."""
        if not self._options.time_scale:
            return NEVER
        return self.scaled(LONGEST.get(deployment.kind, NEVER))

    def provision(self, deployment: Deployment) -> float:
        is_copied = _blue_green(deployment, "greenFleetProvisioningOption").get("action") == "COPY_AUTO_SCALING_GROUP"
        return self.scaled(self._options.speeds.provision) if is_copied else 0.0

    def ready_wait(self, deployment: Deployment) -> float | None:
        """None: traffic is rerouted at once."""
        option = _blue_green(deployment, "deploymentReadyOption")
        if option.get("actionOnTimeout") != "STOP_DEPLOYMENT":
            return None
        minutes = option.get("waitTimeInMinutes")
        return self.scaled_wait(LONGEST_READY_WAIT if minutes is None else minutes * MINUTE)

    def termination_wait(self, deployment: Deployment) -> float | None:
        """None: the originals are kept."""
        option = _blue_green(deployment, "terminateBlueInstancesOnDeploymentSuccess")
        if option.get("action", "TERMINATE" if deployment.kind == "ecs" else "KEEP_ALIVE") != "TERMINATE":
            return None
        return self.scaled(float(option.get("terminationWaitTimeInMinutes") or 0) * MINUTE)

    def alarm(self, deployment: Deployment) -> tuple[str, float]:
        """The alarm that goes off in the middle of it, and after how long; a rollback is not watched."""
        configuration = deployment.alarm_configuration
        if configuration.get("enabled") and deployment.creator != "codeDeployRollback":
            place = self._place(deployment, None)
            names = [alarm.get("name", "") for alarm in configuration.get("alarms") or ()]
            for fault in self._faults().alarms:
                for name in names:
                    if fnmatchcase(name, fault.alarm) and fault.matches(place):
                        return name, self.scaled(fault.after)
        return "", NEVER

    # --- events

    def fate(self, deployment: Deployment, track: Track, event: str) -> Fate:
        faults = self._faults()
        if not deployment.is_server:
            return self._platform_fate(deployment, track, event, faults)
        instance = self._inventory.get(track.id)
        if not instance.is_running:
            return Fate(self.scaled(UNHEARD), _UNHEARD, begins=False)
        if event in TRAFFIC or not faults.touch_instances:
            failure, factor = None, 1.0
        else:
            place = self._place(deployment, track)
            for lost in faults.lost:
                if lost.event == event and lost.matches(place):
                    return self._lost(is_midway=lost.is_midway)
            failure, factor = self._failure(deployment, event, place, faults), faults.slowness(event, place)
        if failure is None and self._has_agents and event not in TRAFFIC and factor < NEVER:
            timed = self._timed(deployment, track, event, None, factor) if factor != 1.0 else AT_ONCE
            return Fate(timed.seconds, timed.outcome, is_external=timed.outcome is None)
        if failure is None and event == "DownloadBundle" and deployment.problem is not None and not self._has_agents:
            failure = broken(deployment.problem)
        return self._timed(deployment, track, event, failure, factor / instance.speed)

    def _timed(
        self, deployment: Deployment, track: Track, event: str, failure: Diagnostics | None, factor: float
    ) -> Fate:
        if factor == NEVER:
            return Fate(NEVER, failure)
        if not self._options.time_scale:
            return Fate(0.0, failure) if failure else AT_ONCE
        seconds = self._roll(deployment, track, self._options.speeds.of(event)) * factor
        if seconds > LONGEST_EVENT:
            return Fate(self.scaled(LONGEST_EVENT), _TOO_LONG)
        return Fate(self.scaled(seconds), failure)

    def _lost(self, *, is_midway: bool) -> Fate:
        if is_midway:
            return Fate(self.lost_after, _LOST)
        return Fate(self.scaled(UNHEARD), _UNHEARD, begins=False)

    def _failure(self, deployment: Deployment, event: str, place: Place, faults: Faults) -> Diagnostics | None:
        if event in FORGIVEN and deployment.settings.get("ignoreApplicationStopFailures"):
            return None
        for fault in faults.failures:
            if fault.event == event and fault.matches(place):
                return Diagnostics(
                    error_code=fault.error_code, script=fault.script, message=fault.message, log_tail=fault.log_tail
                )
        return None

    def _platform_fate(self, deployment: Deployment, track: Track, event: str, faults: Faults) -> Fate:
        """ECS and Lambda: the service's own work, and functions for hooks."""
        place = self._place(deployment, track)
        failure = self._failure(deployment, event, place, faults)
        factor = faults.slowness(event, place)
        if event == "AllowTraffic" and deployment.routing is not None and failure is None:
            seconds = deployment.routing.seconds * factor
            return Fate(self.scaled(seconds) if factor < NEVER else NEVER)
        if event in deployment.hooks and failure is None and factor < NEVER:
            return self._hook(deployment, track, self._options.function(deployment.hooks[event]), factor)
        if event == "Install" and factor < NEVER:
            seconds = self._roll(deployment, track, self._options.speeds.task_set) * factor
            return Fate(self.scaled(seconds), failure)
        return self._timed(deployment, track, event, failure, factor)

    def _hook(self, deployment: Deployment, track: Track, function: Function, factor: float) -> Fate:
        hook = self.hook_of(deployment, track.at)
        match function.reports:
            case "nothing":
                return Fate(self.scaled_wait(HOUR), _UNREPORTED, hook=hook)
            case "Failed":
                return Fate(self.scaled(function.seconds * factor), _HOOK_FAILED, hook=hook)
            case "Succeeded":
                return Fate(self.scaled(function.seconds * factor), hook=hook)

    def hook_of(self, deployment: Deployment, at: int) -> str:
        """The lifecycleEventHookExecutionId of an event's hook."""
        return hashlib.blake2b(f"{deployment.id}/{at}".encode(), digest_size=18).hexdigest()

    def _roll(self, deployment: Deployment, track: Track, between: tuple[float, float]) -> float:
        """The same for the same seed, group, number of deployment, instance and event."""
        group = deployment.group
        place = f"{self._options.seed}/{group.account}/{group.region}/{group.target}/{deployment.number}/{track.id}"
        digest = hashlib.blake2b(place.encode(), digest_size=16).digest()
        shortest, longest = between
        return shortest + (longest - shortest) * digest[track.at] / 255

    def _place(self, deployment: Deployment, track: Track | None) -> Place:
        instance = self._inventory.get(track.id) if track is not None and deployment.is_server else None
        return Place(
            seed=self._options.seed,
            target=deployment.group.target,
            number=deployment.number,
            revision=revision_name(deployment.revision),
            index=track.index if track is not None else 0,
            names=(instance.id, instance.name) if instance else (),
        )


def _blue_green(deployment: Deployment, option: str) -> Json:
    configuration: Json = deployment.settings.get("blueGreenDeploymentConfiguration") or {}
    found: Json = configuration.get(option) or {}
    return found
