"""The durations that the engine works by, in one place. Seconds, all of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    poll_interval: float = 5.0
    """The shortest time between two looks at one deployment."""
    resend_grace: float = 15.0
    """How long a CreateDeployment without an answer is looked for before it is sent again."""
    busy_pause: float = 15.0
    """Between two tries when CodeDeploy says "limit exceeded" and no deployment of the group explains it."""
    stop_patience: float = 600.0
    """How long a deployment may take to end after it was told to stop."""
    rollback_patience: float = 20.0
    """How long CodeDeploy may take to name the deployment that rolls a failed one back."""

    @classmethod
    def for_interval(cls, poll_interval: float) -> Timing:
        """Everything else in proportion: what is quick to look at (the sandbox) is quick to answer, too."""
        usual = cls()
        share = min(1.0, poll_interval / usual.poll_interval)
        return cls(
            poll_interval=poll_interval,
            resend_grace=max(1.0, usual.resend_grace * share),
            busy_pause=max(0.5, usual.busy_pause * share),
            stop_patience=usual.stop_patience,
            rollback_patience=max(2.0, usual.rollback_patience * share),
        )
