"""Where the agent keeps things on an instance. Paths are the instance's own."""

from __future__ import annotations

from dataclasses import dataclass

AGENT = "/opt/codedeploy-agent"
"""Its working directory, and so that of the scripts."""
DEPLOYMENT_ROOT = f"{AGENT}/deployment-root"
INSTRUCTIONS = f"{DEPLOYMENT_ROOT}/deployment-instructions"
DEPLOYMENTS_LOG = f"{DEPLOYMENT_ROOT}/deployment-logs/codedeploy-agent-deployments.log"
AGENT_LOG = "/var/log/aws/codedeploy-agent/codedeploy-agent.log"


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of one deployment."""

    group_id: str
    deployment_id: str

    @property
    def group(self) -> str:
        return f"{DEPLOYMENT_ROOT}/{self.group_id}"

    @property
    def home(self) -> str:
        return f"{self.group}/{self.deployment_id}"

    @property
    def archive(self) -> str:
        return archive_in(self.home)

    @property
    def bundle(self) -> str:
        return f"{self.home}/bundle.tar"

    @property
    def scripts_log(self) -> str:
        return f"{self.home}/logs/scripts.log"

    @property
    def cleanup(self) -> str:
        """What the group's last installation made, for the next one to take away."""
        return f"{INSTRUCTIONS}/{self.group_id}-cleanup"

    @property
    def install(self) -> str:
        return f"{INSTRUCTIONS}/{self.group_id}-install.json"

    @property
    def last_successful(self) -> str:
        """Holds the home of the deployment whose Install ended last, whatever came after."""
        return f"{INSTRUCTIONS}/{self.group_id}_last_successful_install"

    @property
    def most_recent(self) -> str:
        """Holds the home of the deployment that was downloaded last."""
        return f"{INSTRUCTIONS}/{self.group_id}_most_recent_install"


def archive_in(home: str) -> str:
    return f"{home}/deployment-archive"
