"""What gates and hooks ask of the world: CloudWatch, Prometheus, HTTP and commands.

aiohttp is imported when a gate needs it, not before.
"""

from orchestrator.gates.asking import Asker, CallCloudWatch
from orchestrator.gates.commands import CommandRunner
from orchestrator.gates.rehearsed import RehearsedCommands, RehearsedGates

__all__ = ["Asker", "CallCloudWatch", "CommandRunner", "RehearsedCommands", "RehearsedGates"]
