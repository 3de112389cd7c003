"""`serve`, and `--serve`: where it listens, what it follows, how it ends, and that it holds up nothing."""

from __future__ import annotations

import http.client
import json
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from bigruns import big_run, finished_run
from browsing import port_of, serving, told
from forks import Process
from rig import Command, MakeRig, github, interrupt, wait_until

from orchestrator.sandbox.options import Faults, stuck

TOKEN = "ORCHESTRATOR_SERVE_TOKEN"
STATE = "s3://releases/state"
NAMES = [f"app-{number}" for number in range(3)]


def get(url: str, path: str = "/", **headers: str) -> tuple[int, str]:
    with connected(url) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@contextmanager
def connected(url: str) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", int(port_of(url)), timeout=30)
    try:
        yield connection
    finally:
        connection.close()


class Stream:
    """An EventSource's end of the line."""

    def __init__(self, connection: http.client.HTTPConnection, path: str) -> None:
        connection.request("GET", path)
        self._lines = connection.getresponse()

    def events(self) -> Iterator[tuple[str, Any]]:
        """Their types and data, to the end."""
        name = ""
        while line := self._lines.readline().decode():
            key, _, value = line.rstrip("\n").partition(": ")
            if key == "event":
                name = value
            elif key == "data":
                yield name, json.loads(value)


def page_at(process: Process) -> str:
    """The URL that a command with `--serve` names on stderr."""
    return next(line for line in process.stderr if "page at" in line).split()[-1]


# --- serve -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_well_when_told_whoever_looks(command: Command, number: signal.Signals) -> None:
    with (
        told(command.folder / "state", big_run(50)) as run,
        serving(command, "--state", "state", "--listen", ":0") as (url, process),
        connected(url) as one,
        socket.create_connection(("127.0.0.1", int(port_of(url)))) as never_reads,
        socket.create_connection(("127.0.0.1", int(port_of(url)))),
    ):
        stream = Stream(one, f"/runs/{run.run}/events").events()
        never_reads.sendall(f"GET /runs/{run.run}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert next(stream)[0] == "hello"
        interrupt(process, number)
        out, err = process.communicate(timeout=20)
        assert [name for name, _ in stream][-1] == "closing"
    assert process.returncode == 0, err
    assert "ended" in err
    assert out == ""  # its URL was the only line


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["serve", "--listen", "0.0.0.0:0"], {}, TOKEN),
        (["serve", "--listen", "[::]:0"], {TOKEN: "too-short"}, "16 printable"),
        (["serve", "--listen", "nonsense"], {}, "is no port"),
        (["serve", "--listen", "::1:80"], {}, "brackets"),
        (["serve", "--listen", "192.0.2.1:80"], {TOKEN: "x" * 20}, "can't listen on 192.0.2.1:80"),
        (["serve", "--state", "release.yaml"], {}, "is a file"),
        (["serve", "--state", "s3://X"], {}, "s3://bucket/prefix"),
        (["apply", "release.yaml", "--sandbox", "--serve", "0.0.0.0:0"], {}, TOKEN),
        (["apply", "release.yaml", "--sandbox", "--serve", "x"], {}, "is no port"),
    ],
)
def test_bad_input_is_told_before_anything_begins(
    command: Command, arguments: list[str], environment: dict[str, str], said: str
) -> None:
    command.write(github(["one"]))
    ended = replace(command, environment=environment)(*arguments)
    assert ended.code == 2, ended.err
    assert said in ended.err
    assert not (command.folder / ".orchestrator" / "runs").exists()


def test_a_port_that_is_taken_is_told(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = command("serve", "--listen", f":{port}")
    assert ended.code == 2
    assert f"can't listen on 127.0.0.1:{port}: somebody else listens there" in ended.err


def test_a_folder_without_runs_and_then_with_one_and_then_with_a_broken_one(command: Command) -> None:
    records = big_run(5)
    path = f"/runs/{records[0].run}"
    with serving(command, "--state", "state", "--listen", ":0") as (url, _), connected(url) as one:
        assert "No runs yet" in get(url)[1]
        assert get(url, path)[0] == 404
        stream = Stream(one, "/events").events()
        assert next(stream)[0] == "hello"
        assert "No runs yet" in next(stream)[1]["main"]
        with told(command.folder / "state", records):
            assert records[0].run in next(stream)[1]["main"]
        assert get(url, path)[0] == 200
    with serving(command, "--state", "state", "--listen", ":0") as (url, _), connected(url) as one:
        whole = (command.folder / "state" / path.removeprefix("/") / "journal.jsonl").read_text()
        command.write("nonsense\n" + whole, "state/runs/broken/journal.jsonl")
        status, text = get(url, "/runs/broken")
        assert status == 503
        assert "broken/journal.jsonl:1: not a journal record" in text
        stream = Stream(one, "/runs/broken/events").events()
        command.write(whole, "state/runs/broken/journal.jsonl")
        mended = next(data for name, data in stream if name == "update" and data["seq"])
        assert "not a journal record" not in mended["main"]
        assert get(url, "/runs/broken")[0] == 200


# --- over S3 ---------------------------------------------------------------------------------------------------------


def test_a_run_in_a_bucket_is_followed_to_its_end_and_trouble_is_told(make_rig: MakeRig) -> None:
    rig = make_rig([f"{name}/g" for name in NAMES], time_scale=20)
    run = rig.command
    run.write(github(NAMES))
    with serving(run, "--state", STATE, "--listen", ":0") as (url, _), connected(url) as one:
        assert f"kept in <code>{STATE}" in get(url)[1]
        with run.start("apply", "release.yaml", "--state", STATE) as process:
            wait_until(lambda: get(url, "/runs/latest")[0] == 302, "the run is in the list")
            place = http_location(url, "/runs/latest")
            stream = Stream(one, f"{place}/events").events()
            seen = dict(stream)
            assert process.wait(30) == 0
        assert "over" in seen
        assert "succeeded" in str(seen["update"])
        assert get(url, place)[0] == 200
    elsewhere = replace(run, environment={**run.environment, "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"})
    with serving(elsewhere, "--state", STATE, "--listen", ":0") as (url, _):
        status, text = get(url)
        assert status == 503
        assert "can&#x27;t list s3://releases/state" in text


def http_location(url: str, path: str) -> str:
    with connected(url) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return str(answer.headers["Location"])


# --- beside a run ----------------------------------------------------------------------------------------------------


def test_who_never_reads_holds_up_no_release(command: Command) -> None:
    """Their requests are for all there is, again and again, and they never take a byte of it."""
    command.write(github([f"app-{number}" for number in range(60)]))
    with (
        command.start(
            *("apply", "release.yaml", "--sandbox", "--time-scale", "40"), "--serve", ":0", "--result", "result.json"
        ) as process,
        ExitStack() as deaf,
    ):
        url = page_at(process)
        next(line for line in process.stderr if "started" in line)
        place = http_location(url, "/runs/latest")
        for path in (place, f"{place}/events") * 8:
            one = deaf.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", int(port_of(url))))
            one.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 20)
        assert get(url, place)[0] == 200
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert set(command.states().values()) == {"succeeded"}
    assert "page" not in err  # nothing is wrong with it, either


def test_a_resumed_run_is_shown_from_its_beginning(make_rig: MakeRig) -> None:
    rig = make_rig([f"{name}/g" for name in NAMES], faults=Faults(slow=(stuck(f"{NAMES[0]}/g"),)), time_scale=20)
    run = rig.command
    run.write(github(NAMES))
    assert run("apply", "release.yaml", "--for", "1s").code == 8
    with run.start("resume", "--serve", ":0", "--on-cancel", "detach") as process:
        url = page_at(process)
        # All of it on one page: how many there are, what happened before this process, and that it goes on. Between two
        # looks the page may change from the journal to the process itself, and be empty for a moment.
        words = ("3 targets", "leaving", "resumed by process")

        def is_whole() -> bool:
            text = get(url, http_location(url, "/runs/latest"))[1]
            return all(each in text for each in words)

        wait_until(is_whole, "it goes on, with what was before")
        interrupt(process)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out + err


def test_what_has_ended_is_there_with_metrics_of_it(command: Command) -> None:
    with told(command.folder / "state", finished_run(5)) as run:
        pass
    closed = replace(command, environment={TOKEN: "a-secret-of-some-length"})
    with serving(closed, "--state", "state", "--listen", ":0") as (url, _):
        bearer = {"Authorization": "Bearer a-secret-of-some-length"}
        assert get(url, "/metrics")[0] == get(url, f"/runs/{run.run}")[0] == 401
        assert "orchestrator_" in get(url, "/metrics", **bearer)[1]
        status, text = get(url, f"/runs/{run.run}", **bearer)
        assert status == 200
        assert "data-events" not in text
