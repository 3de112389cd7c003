"""CodeDeploy's state in one account and region, and what starts, stops and ends deployments there.

Time passes by looking: every operation first calls `settle`, which does what has been due since. `engine` knows the
course of a single deployment; here is what one means for its group, and for the next one.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.sandbox.alarms import Alarms
from orchestrator.sandbox.casting import Casting, way_back
from orchestrator.sandbox.configs import Config, built_in, default_config
from orchestrator.sandbox.course import Course
from orchestrator.sandbox.deployments import Deployment, Group, Kind, new_deployment_id
from orchestrator.sandbox.engine import Engine, HookError
from orchestrator.sandbox.errors import Json, ServiceError
from orchestrator.sandbox.holdings import Application, OnPremisesInstance
from orchestrator.sandbox.home import Ledger
from orchestrator.sandbox.inventory import Instance, Inventory
from orchestrator.sandbox.lifecycle import Diagnostics
from orchestrator.sandbox.options import Faults, SandboxOptions
from orchestrator.sandbox.outcomes import settle_instances
from orchestrator.sandbox.revisions import revision_key
from orchestrator.sandbox.shelf import Shelf
from orchestrator.sandbox.specs import Spec

_ON_REQUEST = frozenset({"DEPLOYMENT_STOP_ON_REQUEST"})


class Region:
    """Applications, groups, configurations, instances and deployments of one account in one region."""

    def __init__(
        self,
        account: str,
        name: str,
        options: SandboxOptions,
        faults: Callable[[], Faults],
        created: float,
        *,
        ledger: Ledger | None = None,
        alarms: Alarms | None = None,
        has_agents: bool = False,
    ) -> None:
        """`has_agents`: somebody takes up `engine.jobs`, and reports how they ended."""
        self.account = account
        self.name = name
        self.options = options
        self.shelf = Shelf(ledger or Ledger(), account, name)
        self.applications: dict[str, Application] = {}
        self.onpremises: dict[str, OnPremisesInstance] = {}
        self.configs = built_in(created)
        self.inventory = Inventory()
        self.deployments: dict[str, Deployment] = {}
        """In the order of their creation."""
        self.alarms = alarms or Alarms(options.alarms)
        self.casting = Casting(self.inventory)
        self.course = Course(options, faults, self.inventory, has_agents=has_agents)
        self.engine = Engine(self.course, self.casting, self.alarms)
        self._active: set[Group] = set()

    # --- look-ups; each raises the error that AWS answers with

    def application(self, name: str) -> Application:
        try:
            return self.applications[name]
        except KeyError:
            raise ServiceError("ApplicationDoesNotExistException", f"No application found for name: {name}") from None

    def group(self, application: str, name: str) -> Group:
        try:
            return self.application(application).groups[name]
        except KeyError:
            raise ServiceError(
                "DeploymentGroupDoesNotExistException", f"No Deployment Group found for name: {name}"
            ) from None

    def config(self, name: str) -> Config:
        try:
            return self.configs[name]
        except KeyError:
            raise ServiceError(
                "DeploymentConfigDoesNotExistException", f"No Deployment Configuration found for name: {name}"
            ) from None

    def deployment(self, deployment_id: str, now: float) -> Deployment:
        try:
            deployment = self.deployments[deployment_id]
        except KeyError:
            raise ServiceError(
                "DeploymentDoesNotExistException", f"The deployment {deployment_id} could not be found"
            ) from None
        self.settle(deployment.group, now)
        return deployment

    def adopt(self, group: Group) -> None:
        """Its instances are there from now on."""
        for name in group.instances:
            self.inventory.get(name)

    # --- the course of deployments

    def start(
        self,
        group: Group,
        settings: Json,
        now: float,
        *,
        spec: Spec,
        rollback_events: frozenset[str] = frozenset(),
    ) -> Deployment:
        """A new deployment; `settings` are the members of DeploymentInfo that never change.

        Raises DeploymentLimitExceededException while another one is active.
        """
        self.settle(group, now)
        if group.active is not None:
            raise ServiceError(
                "DeploymentLimitExceededException",
                f"The Deployment Group '{group.name}' already has an active Deployment '{group.active.id}'",
            )
        config = self.config(settings["deploymentConfigName"])
        deployment = Deployment(
            id=new_deployment_id(),
            group=group,
            number=len(group.deployments) + 1,
            settings=settings,
            created=now,
            kind=_kind(group),
            rule=config.health,
            zonal=config.zonal,
            routing=config.routing,
            rollback_events=rollback_events,
            problem=spec.problem,
            hooks=spec.hooks,
            function=spec.function,
        )
        self._enter(deployment)
        return deployment

    def stop(self, deployment: Deployment, now: float, *, rollback: bool | None) -> bool:
        """Whether it has stopped already; False while running commands drain.

        `rollback`: overrides what the deployment's settings say about a stop by request.
        """
        if rollback is not None:
            others = deployment.rollback_events - _ON_REQUEST
            deployment.rollback_events = others | _ON_REQUEST if rollback else others
        if deployment.stopping is not None:
            self.shelf.keep_deployment(deployment)
            return True
        self.engine.stop(deployment, now, "MANUAL_STOP", "The deployment was stopped by a request.")
        self._changed(deployment, now)
        return deployment.ended is not None

    def go_on(self, deployment: Deployment, now: float) -> None:
        """Reroutes the traffic, or terminates the originals, without waiting any longer."""
        self.engine.go_on(deployment, now)
        self._changed(deployment, now)

    def abandon(self, group: Group, now: float, code: str, message: str) -> None:
        """Ends what is active in a group that goes away; nothing is rolled back."""
        self.settle(group, now)
        if group.active is not None:
            group.active.rollback_events = frozenset()
            self.engine.stop(group.active, now, code, message, drains=False)
            self._changed(group.active, now)

    def report(self, deployment: Deployment, number: int, at: int, outcome: Diagnostics | None, now: float) -> None:
        """How an event ended that ran outside. `outcome`: why it failed, if so."""
        self.settle(deployment.group, now)
        self.engine.report(deployment, number, at, outcome, now)
        self._changed(deployment, now)

    def report_hook(self, deployment: Deployment, hook: str, now: float, *, is_success: bool) -> HookError | None:
        """What a function says that is the hook of an event."""
        error = self.engine.report_hook(deployment, hook, now, is_success=is_success)
        self._changed(deployment, now)
        return error

    def look_at_alarms(self, now: float) -> None:
        """Stops what an alarm stands against that has been set just now."""
        for deployment in self.running(now):
            if deployment.started is not None and (message := self.alarms.against(deployment)) is not None:
                self.engine.stop(deployment, now, "ALARM_ACTIVE", message)
                self._changed(deployment, now)

    def switch(self, instance: Instance, now: float, *, is_running: bool) -> None:
        """Starts or stops an instance; deployments that run there notice."""
        running = self.running(now)
        instance.is_running = is_running
        self.shelf.keep_instance(instance)
        for deployment in running:
            for number, track in enumerate(deployment.tracks):
                if track.id == instance.id and deployment.is_server:
                    act = self.engine.find if is_running else self.engine.lose
                    act(deployment, number, now)
            self._changed(deployment, now)

    def settle(self, group: Group, now: float) -> None:
        """What has been due in the group: events, ends, rollbacks, and what was due in those."""
        while (deployment := group.active) is not None:
            if deployment.next_due > now and deployment.ended is None:
                return
            if self.engine.advance(deployment, now):
                self.shelf.keep_deployment(deployment)
            if deployment.ended is None:
                return
            group.active = None
            self._active.discard(group)
            self._finish(deployment)

    def take_up(self, deployment: Deployment, now: float) -> None:
        """One that was under way when the sandbox ended; time has gone on meanwhile."""
        deployment.group.active = deployment
        self._active.add(deployment.group)
        self.engine.resume(deployment, now)

    def settle_all(self, now: float) -> None:
        for group in tuple(self._active):
            self.settle(group, now)

    def running(self, now: float) -> list[Deployment]:
        """All that haven't ended by now."""
        self.settle_all(now)
        return [group.active for group in self._active if group.active is not None]

    @property
    def next_due(self) -> float:
        """When the next thing happens by itself."""
        return min((group.active.next_due for group in self._active if group.active), default=float("inf"))

    def _changed(self, deployment: Deployment, now: float) -> None:
        self.shelf.keep_deployment(deployment)
        self.settle(deployment.group, now)

    def _enter(self, deployment: Deployment) -> None:
        group = deployment.group
        self._use_revision(group, deployment.revision, deployment.created)
        group.deployments.append(deployment)
        group.active = deployment
        self._active.add(group)
        self.deployments[deployment.id] = deployment
        self.engine.enter(deployment)
        self.shelf.keep_deployment(deployment)

    def _use_revision(self, group: Group, location: Json, now: float) -> None:
        """What a deployment tells the application's list of revisions."""
        application = self.applications[group.application]
        last = group.last_attempted
        if last is not None and (old := application.revisions.get(revision_key(last.revision))) is not None:
            old.groups = [name for name in old.groups if name != group.name]
            self.shelf.keep_revision(application.name, old)
        record = application.register(location, now)
        record.groups.append(group.name)
        record.first_used = record.first_used or now
        record.last_used = now
        self.shelf.keep_revision(application.name, record)

    def _finish(self, deployment: Deployment) -> None:
        for instance in settle_instances(deployment, self.inventory):
            self.shelf.keep_instance(instance)
        match deployment.status, deployment.error:
            case "Succeeded", _:
                deployment.group.last_successful = deployment
            case "Failed", _:
                self._roll_back(deployment, "DEPLOYMENT_FAILURE")
            case _, ("ALARM_ACTIVE", _):
                self._roll_back(deployment, "DEPLOYMENT_STOP_ON_ALARM")
            case _:
                self._roll_back(deployment, "DEPLOYMENT_STOP_ON_REQUEST")
        self.shelf.keep_deployment(deployment)

    def _roll_back(self, deployment: Deployment, event: str) -> None:
        """The last good revision again, as a deployment of its own. A failed rollback isn't rolled back."""
        group, good = deployment.group, deployment.group.last_successful
        if event not in deployment.rollback_events or good is None or deployment.creator == "codeDeployRollback":
            return
        if deployment.ended is None:
            return
        settings = {
            **deployment.settings,
            "creator": "codeDeployRollback",
            "revision": good.revision,
            "previousRevision": good.revision,
            "fileExistsBehavior": good.settings["fileExistsBehavior"],
            "description": f"Rollback of {deployment.id} to the revision of {good.id}",
        }
        if not deployment.is_server:  # all traffic at once, whatever the deployment's own configuration says
            settings["deploymentConfigName"] = default_config(group.platform)
        new = Deployment(
            id=new_deployment_id(),
            group=group,
            number=len(group.deployments) + 1,
            settings=settings,
            created=deployment.ended,
            kind=_BACK.get(deployment.kind, deployment.kind),
            rule=deployment.rule,
            zonal=deployment.zonal,
            routing=built_in(0.0)[settings["deploymentConfigName"]].routing if not deployment.is_server else None,
            problem=good.problem,
            hooks=good.hooks,
            function=_function_back(deployment, good),
        )
        if new.kind == "blue_green_back":
            new.tracks = way_back(deployment)
        new.rollback_info = {
            "rollbackTriggeringDeploymentId": deployment.id,
            "rollbackMessage": f"The deployment rolls back {deployment.id}.",
        }
        deployment.rollback_info = {
            "rollbackDeploymentId": new.id,
            "rollbackMessage": f"Deployment {new.id} rolls this one back to the revision of {good.id}.",
        }
        deployment.version += 1
        self._enter(new)


_BACK: dict[Kind, Kind] = {"blue_green": "blue_green_back", "ecs": "ecs_back"}
"""What rolls a kind of deployment back, where that is another kind."""


def _kind(group: Group) -> Kind:
    match group.platform:
        case "ECS":
            return "ecs"
        case "Lambda":
            return "lambda"
        case _:
            is_blue_green = group.settings["deploymentStyle"].get("deploymentType") == "BLUE_GREEN"
            return "blue_green" if is_blue_green else "in_place"


def _function_back(deployment: Deployment, good: Deployment) -> Json:
    """The alias goes back from where it was to be."""
    if deployment.kind != "lambda":
        return {}
    return {**good.function, "currentVersion": deployment.function.get("targetVersion")}
