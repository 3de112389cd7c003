"""What serves the targets of one account and region."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.codedeploy import CodeDeploy
from orchestrator.core.poller import Poller


@dataclass(frozen=True, eq=False, slots=True)
class Region:
    codedeploy: CodeDeploy
    poller: Poller
