"""Works through a spool folder: one JSON file is one job. Standard library only."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading
from pathlib import Path

log = logging.getLogger("shop-jobs")


def work(job: Path, done: Path, failed: Path) -> None:
    """Handles one job and moves its file; a job that can't be read goes to `failed` and stops nobody."""
    try:
        content = json.loads(job.read_text(encoding="utf-8"))
        log.info("job %s: %s", job.name, content["kind"])
    except (ValueError, KeyError, TypeError) as error:
        log.warning("job %s is no job: %s", job.name, error)
        job.replace(failed / job.name)
        return
    job.replace(done / job.name)


def run(spool: Path, stop: threading.Event, interval: float) -> None:
    """Until told to stop; the job in hand is always finished."""
    inbox, done, failed = (spool / name for name in ("inbox", "done", "failed"))
    for folder in (inbox, done, failed):
        folder.mkdir(parents=True, exist_ok=True)
    log.info("working in %s", spool)
    while not stop.is_set():
        for job in sorted(inbox.glob("*.json")):
            work(job, done, failed)
            if stop.is_set():
                break
        stop.wait(interval)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spool", type=Path, help="the folder with inbox/, done/ and failed/")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two looks into the inbox")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run(arguments.spool, stop, arguments.interval)
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
