"""A warm Lambda: has loaded the function once, and forks a worker for each invocation, which can then be killed.

Reads lines of JSON from stdin: `{"event": …, "seconds": …, "arn": …}`. Answers on stdout with `{"pid": …}` at once, and
with `{"result": …}`, `{"error": …}` or `{"killed": true}` at the worker's end.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from dataclasses import dataclass, field
from typing import Any

import aioboto3  # noqa: F401 - loaded before the fork, as Lambda keeps a worker warm

from orchestrator.core.lease import LeaseTiming
from orchestrator.durable import Settings, make_handler

LEASE = LeaseTiming(ttl=1.5, renew=0.3, margin=0.5, look=0.1)
"""A dead worker's lease is taken over soon, or these tests would take half a minute for each of them."""


@dataclass
class Context:
    """What Lambda hands to a handler, as far as it is used."""

    invoked_function_arn: str
    seconds: float
    aws_request_id: str = "00000000-0000-0000-0000-000000000000"
    began: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return int((self.seconds - (time.monotonic() - self.began)) * 1000)


def invoke(asked: dict[str, Any]) -> dict[str, Any]:
    handler = make_handler(Settings(lease=LEASE))
    try:
        return {"result": handler(asked["event"], Context(asked["arn"], asked["seconds"]))}
    except Exception as error:  # noqa: BLE001 - as Lambda tells what a handler raises
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    answers = os.dup(1)
    os.dup2(2, 1)  # what the function prints is its log
    for line in sys.stdin:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            with os.fdopen(write, "w") as pipe:
                json.dump(invoke(json.loads(line)), pipe)
            os._exit(0)
        os.close(write)
        _answer(answers, {"pid": pid})
        with os.fdopen(read) as pipe:
            text = pipe.read()
        os.waitpid(pid, 0)
        try:
            _answer(answers, json.loads(text))
        except ValueError:
            _answer(answers, {"killed": True})


def _answer(descriptor: int, answer: dict[str, Any]) -> None:
    os.write(descriptor, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
