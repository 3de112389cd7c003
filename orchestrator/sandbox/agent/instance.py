"""One instance: its root folder, and its agent, which does one lifecycle event at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import anyio
import anyio.to_thread

from orchestrator.bundle.appspec_model import AppSpecError, ServerAppSpec, parse_server
from orchestrator.sandbox.agent import rubypath
from orchestrator.sandbox.agent.accounts import read_accounts
from orchestrator.sandbox.agent.bubble import NoBubblewrapError
from orchestrator.sandbox.agent.bundles import Bundle, Bundles
from orchestrator.sandbox.agent.faults import AgentError, ScriptFailure
from orchestrator.sandbox.agent.hooks import HookRun, home_of_scripts, script_log
from orchestrator.sandbox.agent.install import Installer
from orchestrator.sandbox.agent.layout import AGENT_LOG, Layout, archive_in
from orchestrator.sandbox.agent.limits import MIB, Limits, disk_usage
from orchestrator.sandbox.agent.rooted import Root
from orchestrator.sandbox.agent.scripts import ScriptRunner
from orchestrator.sandbox.agent.unpack import Unpacker
from orchestrator.sandbox.ports import DeploymentSpec

HOOKABLE = (
    "BeforeBlockTraffic",
    "AfterBlockTraffic",
    "ApplicationStop",
    "DownloadBundle",
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
    "BeforeAllowTraffic",
    "AfterAllowTraffic",
)
"""Events that an AppSpec may hook. DownloadBundle's and Install's scripts never run."""
_TRAFFIC = frozenset({"BlockTraffic", "AllowTraffic"})
_APPSPEC_LIMIT = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class EventResult:
    """How an event went on an instance."""

    failure: ScriptFailure | str | None = None
    """A script's, or the reason of anything else; None: it succeeded."""
    log_tail: str = ""
    scripts: tuple[str, ...] = ()
    """Locations of those that were started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """What the agent of one instance works with."""

    root: Root
    runner: ScriptRunner
    limits: Limits
    bundles: Bundles
    strict_names: bool
    """See `install.Installer`."""
    may_chown: bool
    knows: Callable[[str], bool]
    """See `hooks.HookRun`."""
    appspec_name: str = "appspec.yml"
    environment: dict[str, str] = field(default_factory=dict)
    """More variables of the scripts."""
    busy: anyio.Lock = field(default_factory=anyio.Lock)
    """Held by whoever has the agent do something: it does one thing at a time, for all deployments."""

    async def run_event(self, event: str, spec: DeploymentSpec) -> EventResult:
        """Never raises for what goes wrong in the deployment."""
        layout = Layout(spec.deployment_group_id, spec.deployment_id)
        try:
            if event in _TRAFFIC:
                return EventResult()
            if event == "DownloadBundle":
                bundle = await self.bundles.fetch(spec.revision)
                await anyio.to_thread.run_sync(partial(self._download, layout, bundle))
                return EventResult()
            if event == "Install":
                await anyio.to_thread.run_sync(partial(self._install, layout, spec))
                return EventResult()
            return await self._run_hooks(event, layout, spec)
        except (AgentError, NoBubblewrapError) as error:
            return EventResult(failure=str(error))
        except OSError as error:
            # Something on the instance is in the agent's way: a folder where it keeps a file, no space.
            return EventResult(failure=f"{error.strerror or error} - {error.filename or ''}".rstrip(" -"))

    # --- the agent's own work

    def _download(self, layout: Layout, bundle: Bundle) -> None:
        spend = self._spender()
        self.root.mkdirs(layout.home)
        folder = bundle.folder
        if folder is None:
            with self.root.create(layout.bundle) as file:
                for chunk in bundle.chunks():
                    spend(len(chunk))
                    file.write(chunk)
        accounts = read_accounts(self.root)
        unpacker = Unpacker(root=self.root, layout=layout, accounts=accounts, may_chown=self.may_chown, spend=spend)
        unpacker.unpack(bundle.kind, folder)

    def _install(self, layout: Layout, spec: DeploymentSpec) -> None:
        appspec = self._parse(layout.archive)
        _check_events(appspec, spec.events)
        installer = Installer(
            root=self.root,
            layout=layout,
            accounts=read_accounts(self.root),
            strict_names=self.strict_names,
            may_chown=self.may_chown,
            spend=self._spender(),
            note=self._note,
        )
        installer.install(appspec, appspec.file_exists_behavior or spec.file_exists_behavior.upper())
        self.root.write(layout.last_successful, layout.home.encode())

    async def _run_hooks(self, event: str, layout: Layout, spec: DeploymentSpec) -> EventResult:
        rolls_back = spec.creator == "codeDeployRollback" and spec.deployment_type == "BLUE_GREEN"
        home = home_of_scripts(self.root, layout, event, rolls_back_blue_green=rolls_back)
        if home is None:
            return EventResult()
        appspec = await anyio.to_thread.run_sync(partial(self._parse, archive_in(home)))
        scripts = appspec.hooks.get(event)
        if not scripts:
            return EventResult()
        started: list[str] = []
        with script_log(self.root, layout) as log:
            run = HookRun(
                root=self.root,
                home=home,
                event=event,
                environment={**_variables(event, spec), **self.environment},
                runner=self.runner,
                log=log,
                knows=self.knows,
                started=started.append,
            )
            failure = await run.run(scripts)
        return EventResult(failure=failure, log_tail=log.tail() if failure else "", scripts=tuple(started))

    # --- what the above share

    def _parse(self, archive: str) -> ServerAppSpec:
        path = rubypath.join(archive, self.appspec_name)
        if not self.root.exists(path):
            raise AgentError(
                "The CodeDeploy agent did not find an AppSpec file within the unpacked revision directory at "
                f'revision-relative path "{self.appspec_name}". The revision was unpacked to directory "{archive}", '
                f'and the AppSpec file was expected but not found at path "{path}".'
            )
        try:
            appspec = parse_server(self.root.read(path, _APPSPEC_LIMIT))
        except AppSpecError as error:
            raise AgentError(
                f"The AppSpec file is invalid: {error.place}{': ' if error.place else ''}{error}"
            ) from error
        except OSError as error:
            raise AgentError(f"{error.strerror} - {path}") from error
        if appspec.os != "linux":
            raise AgentError(f"The AppSpec file specifies the unsupported operating system {appspec.os}")
        return appspec

    def _spender(self) -> Callable[[int], None]:
        room = self.limits.disk - disk_usage(self.root.folder)

        def spend(size: int) -> None:
            nonlocal room
            room -= size
            if room < 0:
                raise AgentError(f"No space left: an instance of the sandbox holds {self.limits.disk // MIB} MiB")

        return spend

    def _note(self, text: str) -> None:
        self.root.mkdirs(rubypath.dirname(AGENT_LOG))
        with self.root.create(AGENT_LOG, append=True) as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} WARN  {text}\n".encode(errors="replace"))


def _variables(event: str, spec: DeploymentSpec) -> dict[str, str]:
    """What a script is told about its deployment; for S3 and GitHub, about its bundle, too."""
    told = {
        "LIFECYCLE_EVENT": event,
        "DEPLOYMENT_ID": spec.deployment_id,
        "APPLICATION_NAME": spec.application,
        "DEPLOYMENT_GROUP_NAME": spec.deployment_group,
        "DEPLOYMENT_GROUP_ID": spec.deployment_group_id,
    }
    s3, github = spec.revision.get("s3Location") or {}, spec.revision.get("gitHubLocation") or {}
    bundle = {
        "BUNDLE_BUCKET": s3.get("bucket"),
        "BUNDLE_KEY": s3.get("key"),
        "BUNDLE_VERSION": s3.get("version"),
        "BUNDLE_ETAG": s3.get("eTag"),
        "BUNDLE_COMMIT": github.get("commitId"),
    }
    return {**told, **{name: value for name, value in bundle.items() if value is not None}}


def _check_events(appspec: ServerAppSpec, events: tuple[str, ...] | None) -> None:
    """Raises `AgentError` for a hook of an event that there isn't, and for an event of one's own without a hook."""
    if events is None:
        return
    custom = [event for event in events if event not in HOOKABLE and event not in _TRAFFIC]
    unknown = [finding.message for finding in appspec.at_install if finding.code == "hook_unknown_event"]
    if len(unknown) > sum(event in appspec.hooks for event in custom):
        raise AgentError(f"appspec.yml file contains unknown lifecycle events: {'; '.join(unknown)}")
    missing = [event for event in custom if event not in appspec.hooks]
    if missing:
        raise AgentError(
            "You specified a lifecycle event which is not a default one and doesn't exist in your appspec.yml file: "
            + ",".join(missing)
        )
