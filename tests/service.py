"""CodeDeploy in the sandbox on a clock of the test's own, without HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.sandbox.bundles import BundleChecker
from orchestrator.sandbox.codedeploy import CodeDeploy
from orchestrator.sandbox.controls import Controls
from orchestrator.sandbox.errors import ServiceError
from orchestrator.sandbox.fleet import ConfigSpec, FleetSpec, GroupSpec
from orchestrator.sandbox.home import open_home
from orchestrator.sandbox.identity import Keyring, Scope
from orchestrator.sandbox.injector import Injector
from orchestrator.sandbox.options import Faults, Function, SandboxOptions, Speeds
from orchestrator.sandbox.storage import Bucket, Storage

REGION = "eu-west-1"
GITHUB = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/shop", "commitId": "good"}}
BAD = {"revisionType": "GitHub", "gitHubLocation": {"repository": "acme/shop", "commitId": "bad"}}


@dataclass
class Service:
    """CodeDeploy with a hand to turn the clock."""

    codedeploy: CodeDeploy
    scope: Scope
    now: float = field(default=1_000_000.0)
    controls: Controls = field(init=False)

    async def call(self, operation: str, **parameters: Any) -> Any:
        body = json.dumps(parameters).encode()
        return json.loads(await self.codedeploy.call(operation, body, self.scope, self.now))

    async def code(self, operation: str, **parameters: Any) -> str:
        with pytest.raises(ServiceError) as caught:
            await self.call(operation, **parameters)
        return caught.value.code

    async def deploy(self, group: str = "g", revision: Any = None, **parameters: Any) -> str:
        answer = await self.call(
            "CreateDeployment",
            applicationName="app",
            deploymentGroupName=group,
            revision=revision or GITHUB,
            **parameters,
        )
        deployment_id: str = answer["deploymentId"]
        return deployment_id

    async def info(self, deployment_id: str) -> Any:
        return (await self.call("GetDeployment", deploymentId=deployment_id))["deploymentInfo"]

    async def group(self, name: str = "g") -> Any:
        answer = await self.call("GetDeploymentGroup", applicationName="app", deploymentGroupName=name)
        return answer["deploymentGroupInfo"]


@contextmanager
def service(
    faults: Faults | None = None,
    *,
    time_scale: float = 1.0,
    page_size: int = 100,
    speeds: Speeds | None = None,
    functions: tuple[Function, ...] = (),
    **group: Any,
) -> Iterator[Service]:
    """Two groups of one application; `group`: members of the first one's `GroupSpec`."""
    options = SandboxOptions(
        time_scale=time_scale,
        faults=faults or Faults(),
        page_size=page_size,
        speeds=speeds or Speeds(),
        functions=functions,
    )
    fleet = FleetSpec(
        groups=(
            GroupSpec(application="app", deployment_group="g", region=REGION, **group),
            GroupSpec(application="app", deployment_group="other", region=REGION),
        ),
        configs=(
            ConfigSpec(name="All3", region=REGION, value=3),
            ConfigSpec(name="All0", region=REGION, value=0),
        ),
    )
    with serving(fleet, options) as found:
        yield found


@contextmanager
def serving(
    fleet: FleetSpec, options: SandboxOptions, *, data: Path | None = None, now: float = 1_000_000.0
) -> Iterator[Service]:
    """`data`: the folder in which all of it lasts; each call is on disk then, as over HTTP."""
    with ExitStack() as stack:
        storage = Storage(10**9)
        stack.callback(storage.close)
        storage.buckets["bucket"] = Bucket(name="bucket", region=REGION, created=0, versioning="Enabled")
        injector = Injector(options.faults, seed=0, started=0)
        home = open_home(data)
        stack.callback(home.close)
        codedeploy = CodeDeploy(fleet, options, injector, BundleChecker(storage), now, ledger=home.ledger)
        codedeploy.changed = home.ledger.flush
        service = Service(codedeploy, Scope(identity=Keyring().root, region=REGION, service="codedeploy"), now)
        service.controls = Controls(codedeploy, lambda: service.now)
        yield service
