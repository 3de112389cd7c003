"""CodeDeploy's state in one account and region, and the course of its deployments.

Time passes by looking: every operation first calls `settle`, which deals with the deployments that have ended since.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

from orchestrator.sandbox import course
from orchestrator.sandbox import schedule as schedules
from orchestrator.sandbox.configs import Config, built_in
from orchestrator.sandbox.deployments import Deployment, Group, new_deployment_id
from orchestrator.sandbox.errors import Json, ServiceError
from orchestrator.sandbox.health import HealthRule
from orchestrator.sandbox.holdings import Application
from orchestrator.sandbox.home import Ledger
from orchestrator.sandbox.options import Faults, SandboxOptions
from orchestrator.sandbox.revisions import revision_key
from orchestrator.sandbox.shelf import Shelf

DRAIN = 0.5
"""Seconds that running commands take to end after a stop, at time scale 1."""


class Region:
    """Applications, groups, configurations and deployments of one account in one region."""

    def __init__(
        self,
        account: str,
        name: str,
        options: SandboxOptions,
        faults: Callable[[], Faults],
        created: float,
        *,
        ledger: Ledger | None = None,
    ) -> None:
        self.account = account
        self.name = name
        self.options = options
        self.shelf = Shelf(ledger or Ledger(), account, name)
        self._faults = faults
        self.applications: dict[str, Application] = {}
        self.configs = built_in(created)
        self.deployments: dict[str, Deployment] = {}
        """In the order of their creation."""
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

    # --- the course of deployments

    def start(
        self,
        group: Group,
        settings: Json,
        now: float,
        *,
        problem: str | None = None,
        rollback_events: frozenset[str] = frozenset(),
    ) -> Deployment:
        """A new deployment; `settings` are the members of DeploymentInfo that never change.

        `problem` is why no agent could download its bundle.
        Raises DeploymentLimitExceededException while another one is active.
        """
        self.settle(group, now)
        if group.active is not None:
            raise ServiceError(
                "DeploymentLimitExceededException",
                f"The Deployment Group '{group.name}' already has an active Deployment '{group.active.id}'",
            )
        health_of = self.config(settings["deploymentConfigName"]).health
        return self._start(group, settings, now, problem, health_of, rollback_events)

    def stop(self, deployment: Deployment, now: float, *, rollback: bool | None) -> bool:
        """Whether it has stopped already; False while running commands drain.

        `rollback`: overrides what the deployment's settings say about a stop by request.
        """
        on_request = frozenset({"DEPLOYMENT_STOP_ON_REQUEST"})
        if rollback is not None:
            others = deployment.rollback_events - on_request
            deployment.rollback_events = others | on_request if rollback else others
            self.shelf.keep_deployment(deployment)
        if deployment.is_stopping:
            return True
        deployment.is_stopping = True
        deployment.schedule = schedules.stop(
            deployment.schedule,
            now,
            course.scaled(DRAIN, self.options),
            code="MANUAL_STOP",
            message="The deployment was stopped by a request.",
        )
        self.shelf.keep_deployment(deployment)
        self.settle(deployment.group, now)
        return deployment.schedule.ended <= now

    def abandon(self, group: Group, now: float, code: str, message: str) -> None:
        """Ends what is active in a group that goes away; nothing is rolled back."""
        self.settle(group, now)
        if group.active is not None:
            group.active.rollback_events = frozenset()
            group.active.schedule = schedules.stop(group.active.schedule, now, 0.0, code=code, message=message)
            self.shelf.keep_deployment(group.active)
            self.settle(group, now)

    def settle(self, group: Group, now: float) -> None:
        """Deals with the end of the group's active deployment, once it is over: health, last success, rollback."""
        while (deployment := group.active) is not None and deployment.schedule.ended <= now:
            group.active = None
            self._active.discard(group)
            self._finish(deployment)

    def take_up(self, deployment: Deployment) -> None:
        """One that was under way when the sandbox ended; time has gone on meanwhile."""
        deployment.group.active = deployment
        self._active.add(deployment.group)

    def settle_all(self, now: float) -> None:
        for group in tuple(self._active):
            self.settle(group, now)

    def _start(
        self,
        group: Group,
        settings: Json,
        now: float,
        problem: str | None,
        health_of: HealthRule,
        rollback_events: frozenset[str] = frozenset(),
    ) -> Deployment:
        faults = self._faults()
        number = len(group.deployments) + 1
        deployment = Deployment(
            id=new_deployment_id(),
            group=group,
            number=number,
            settings=settings,
            schedule=course.schedule(
                course.Request(
                    group=group,
                    settings=settings,
                    number=number,
                    created=now,
                    health=health_of,
                    failures=faults.failures,
                    slow=[slow for slow in faults.slow if fnmatchcase(group.target, slow.target)],
                    problem=problem,
                ),
                self.options,
            ),
            rollback_events=rollback_events,
            problem=problem,
            health_of=health_of,
        )
        self._use_revision(group, deployment.revision, now)
        group.deployments.append(deployment)
        group.active = deployment
        self._active.add(group)
        self.deployments[deployment.id] = deployment
        self.shelf.keep_deployment(deployment)
        return deployment

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
        group, ended = deployment.group, deployment.schedule
        self.shelf.keep_deployment(deployment)
        installed = revision_key(deployment.revision)
        for track in ended.tracks:
            if track.outcome == "Succeeded":
                group.installed[track.instance] = installed
                group.unhealthy.discard(track.instance)
            elif track.outcome == "Failed":
                group.unhealthy.add(track.instance)
        match ended.outcome:
            case "Succeeded":
                group.last_successful = deployment
            case "Failed":
                self._roll_back(deployment, "DEPLOYMENT_FAILURE")
            case "Stopped":
                self._roll_back(deployment, "DEPLOYMENT_STOP_ON_REQUEST")

    def _roll_back(self, deployment: Deployment, event: str) -> None:
        """The last good revision again, as a deployment of its own. A failed rollback isn't rolled back."""
        group, good = deployment.group, deployment.group.last_successful
        if event not in deployment.rollback_events or good is None or deployment.creator == "codeDeployRollback":
            return
        settings = {
            **deployment.settings,
            "creator": "codeDeployRollback",
            "revision": good.revision,
            "previousRevision": good.revision,
            "fileExistsBehavior": good.settings["fileExistsBehavior"],
            "description": f"Rollback of {deployment.id} to the revision of {good.id}",
        }
        new = self._start(group, settings, deployment.schedule.ended, good.problem, deployment.health_of)
        new.rollback_info = {
            "rollbackTriggeringDeploymentId": deployment.id,
            "rollbackMessage": f"The deployment rolls back {deployment.id}.",
        }
        deployment.rollback_info = {
            "rollbackDeploymentId": new.id,
            "rollbackMessage": f"Deployment {new.id} rolls this one back to the revision of {good.id}.",
        }
