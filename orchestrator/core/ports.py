"""What the engine asks of the world. Adapters and fakes fulfil these; contract tests hold them alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.core.controls import GateSpec, HookSpec
from orchestrator.core.measuring import Measurement
from orchestrator.core.model import Location, Revision, Target

if TYPE_CHECKING:
    from orchestrator.core.events import Record
    from orchestrator.core.notifications import Notice, Told
    from orchestrator.core.state import RunState


class Transport(Protocol):
    """One attempt at one CodeDeploy operation in one location, nothing retried.

    Takes and returns the API's own shapes (camelCase keys, times as epoch seconds).
    Raises `ThrottledError`, `AnswerLostError`, `RefusedError` or `CredentialsError`.
    """

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """What the targets of one application in one location deploy."""

    revision: Revision
    """S3: version (where the bucket has versions) and eTag pinned."""
    digest: str | None
    """`sha256:` and 64 hex digits; None where there is none to know (GitHub, a given S3 object)."""


class Artifacts(Protocol):
    """Makes artifacts ready, once each."""

    async def prepare(self, targets: Sequence[Target]) -> Artifact:
        """Packs and uploads what these targets share, unless the bucket has it already, and pins it.

        The targets have the same application, location and source.
        Raises `BundleError`, `CallError` or OSError; leaves no multipart upload behind, also when cancelled.
        """
        ...


class Gates(Protocol):
    """Looks at what gates are about. Approvals are no matter of these: people decide them."""

    async def measure(self, gate: GateSpec, location: Location | None, facts: Mapping[str, str]) -> Measurement:
        """One measurement. What couldn't be asked is `unknown`, with the reason; nothing is raised for it.

        `location`: of the target, None for the run's own gates; `facts`: `ORCHESTRATOR_*` variables for a command.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """A command that was run."""

    ok: bool
    reason: str
    """How it ended, in words."""
    exit_code: int | None = None
    """None: it didn't start, or was killed."""
    output: str = ""
    """The end of what it wrote."""


class Commands(Protocol):
    """Runs commands on this machine."""

    async def run(self, hook: HookSpec, facts: Mapping[str, str]) -> Ran:
        """Ends the command, with its children, when its time is up or the caller is cancelled."""
        ...


class Journal(Protocol):
    """The run's events, durable. One writer."""

    def append(self, record: Record) -> None:
        """Takes the record; it is durable after the next `flush`."""
        ...

    async def flush(self) -> None:
        """Returns when all that was appended is durable, for a step that depends on it. Raises `StateError`."""
        ...

    async def publish(self) -> None:
        """Makes durable what has waited long enough for others to see it; called often, also with nothing to do.

        A store that pays for each write (S3) gathers here; another does at once what `flush` does. Raises `StateError`.
        """
        ...


class Sink(Protocol):
    """A view that is told of every event, after it was folded into the state. Must be quick and must not raise."""

    def handle(self, record: Record, state: RunState) -> None: ...


class Receiver(Protocol):
    """Where one notification goes."""

    keeps_up: bool
    """One message that is kept up to date; else every notice is a message of its own."""
    interval: float
    """Seconds between two deliveries, at least."""

    async def tell(
        self, notice: Notice, state: RunState, told: Told, opened: Callable[[Mapping[str, Any]], None]
    ) -> None:
        """One attempt, within seconds. Raises `NotDeliveredError` or TimeoutError; told twice, it does no harm.

        `opened` takes what a later process needs to go on with it, as soon as that is known.
        """
        ...


class CallObserver(Protocol):
    """Is told of every attempt at a call, for metrics."""

    def called(self, *, service: str, operation: str, outcome: str, seconds: float) -> None:
        """`outcome`: ok, throttled, lost, refused or credentials."""
        ...
