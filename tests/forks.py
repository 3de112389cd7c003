"""Commands as processes that don't wait for their imports: a server that has them forks for each call.

Imports are most of what a command costs, and acceptance tests run hundreds of them. What a call sees is what a process
of its own would see: arguments, variables, working folder, standard streams, signals, exit code and all that happens at
a Python program's end. Whoever tests a start itself, or a terminal, starts a real one (`rig.COMMAND`).

Run as a program, with nothing but the standard library, this file is the server, in whichever Python has the command.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

_NUMBER = struct.Struct("!i")

_CLIENT = r"""
import json, os, signal, socket, struct, sys
link = socket.socket(socket.AF_UNIX)
link.connect({address!r})
call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(link, [struct.pack("!i", len(call))], [0, 1, 2])
link.sendall(call)
worker = struct.unpack("!i", link.recv(4))[0]
for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, lambda number, _frame: os.kill(worker, number))
code = link.recv(4)
code = struct.unpack("!i", code)[0] if code else 70
sys.exit(code if code >= 0 else 128 - code)
"""


# --- the server ------------------------------------------------------------------------------------------------------


@contextmanager
def fork_server(address: Path, kind: str, python: str = sys.executable) -> Iterator[Path]:
    """`kind`: orchestrator or aws, which `python` must be able to import. Yields the address."""
    with subprocess.Popen([python, "-P", __file__, str(address), kind], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        try:
            yield address
        finally:
            server.terminate()


def make_program(path: Path, address: Path) -> Path:
    """A program for PATH that hands its call to the server."""
    client = path.with_name(f"{path.name}-client.py")
    client.write_text(_CLIENT.format(address=str(address)))
    path.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-ISE", str(client)])} "$@"\n')
    path.chmod(0o755)
    return path


def serve(address: str, kind: str) -> None:
    """Returns only in a child that is about to run the command."""
    before = dict(os.environ)
    {"orchestrator": _import_orchestrator, "aws": _import_aws}[kind]()
    own = {name: value for name, value in os.environ.items() if before.get(name) != value}
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        link, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return _answer(link, own)
        link.close()
        _reap()


def _answer(link: socket.socket, own: Mapping[str, str]) -> None:
    """A child of the child runs the command: somebody who outlives it must tell its exit code."""
    length, descriptors, _, _ = socket.recv_fds(link, _NUMBER.size, 3)
    call = b""
    while len(call) < _NUMBER.unpack(length)[0]:
        call += link.recv(65536)
    worker = os.fork()
    if worker == 0:
        link.close()
        return _become(call, descriptors, own)
    for each in (0, 1, 2, *descriptors):
        os.close(each)
    ended = os.pidfd_open(worker)
    link.sendall(_NUMBER.pack(worker))
    ready, _, _ = select.select([link.fileno(), ended], [], [])
    if ended not in ready:  # whoever has called is gone
        os.kill(worker, signal.SIGTERM)
    _, status = os.waitpid(worker, 0)
    with suppress(OSError):
        link.sendall(_NUMBER.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _become(call: bytes, descriptors: Sequence[int], own: Mapping[str, str]) -> None:
    """This process has the caller's streams, folder, variables and arguments. `own`: those that imports set."""
    arguments, folder, environment = json.loads(call)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.closerange(3, 256)
    at_once = bool(environment.get("PYTHONUNBUFFERED"))
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    sys.stdin = open(0, encoding=encoding, closefd=False)  # noqa: SIM115 - descriptors have no path, and stay open
    sys.stdout, sys.stderr = (_writer(number, encoding, at_once=at_once) for number in (1, 2))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment | own)
    sys.argv = ["orchestrator", *arguments]


def _writer(descriptor: int, encoding: str, *, at_once: bool) -> TextIOWrapper:
    errors = "strict" if descriptor == 1 else "backslashreplace"
    binary = open(descriptor, "wb", buffering=0 if at_once else -1, closefd=False)  # noqa: SIM115 - as above
    return TextIOWrapper(
        binary, encoding=encoding, errors=errors, write_through=at_once, line_buffering=descriptor == 2
    )


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass


def _import_orchestrator() -> None:
    """Whatever commands import late; nothing of it starts a thread or opens a file."""
    from importlib import import_module  # noqa: PLC0415 - only the server needs it

    for name in ("aioboto3", "aiohttp.web", "orchestrator.sandbox.server", "orchestrator.sandbox.rehearsal"):
        import_module(name)
    from orchestrator.cli.main import COMMANDS  # noqa: PLC0415 - as above

    for module, _ in COMMANDS.values():
        import_module(f"orchestrator.cli.{module}")
    for path in sorted(Path(sys.modules["orchestrator.cli.main"].__file__ or "").parent.glob("run_*.py")):
        import_module(f"orchestrator.cli.{path.stem}")


def _import_aws() -> None:
    from importlib import import_module  # noqa: PLC0415 - as above

    for name in ("awscli.clidriver", "awscli.handlers", "botocore.httpsession"):
        import_module(name)


# --- a process -------------------------------------------------------------------------------------------------------


class Process:
    """As `subprocess.Popen` with text, of a call to a server. Is killed where the test in its block fails."""

    def __init__(
        self, address: Path, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], pipe_in: bool = False
    ) -> None:
        self.returncode: int | Any = None
        read_in, write_in = os.pipe()
        read_out, write_out = os.pipe()
        read_err, write_err = os.pipe()
        self.stdin: IO[str] = open(write_in, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - closed by `__exit__`
        self.stdout: IO[str] = open(read_out, encoding="utf-8")  # noqa: PTH123, SIM115 - as above
        self.stderr: IO[str] = open(read_err, encoding="utf-8")  # noqa: PTH123, SIM115 - as above
        if not pipe_in:
            self.stdin.close()
        call = json.dumps([list(arguments), str(cwd), dict(env)]).encode()
        self._link = socket.socket(socket.AF_UNIX)
        self._link.connect(str(address))
        socket.send_fds(self._link, [_NUMBER.pack(len(call))], [read_in, write_out, write_err])
        for each in (read_in, write_out, write_err):
            os.close(each)
        self._link.sendall(call)
        self.pid: int = _NUMBER.unpack(self._link.recv(_NUMBER.size))[0]

    def poll(self) -> int | None:
        return self._wait(0.0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._wait(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(["orchestrator"], timeout or 0.0)
        return code

    def _wait(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._link], [], [], timeout)[0]:
            self.returncode = _NUMBER.unpack(self._link.recv(_NUMBER.size))[0]
        code: int | None = self.returncode
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def communicate(self, text: str | None = None, timeout: float | None = None) -> tuple[str, str]:
        deadline = None if timeout is None else time.monotonic() + timeout
        found: dict[str, str] = {}
        streams = {"out": self.stdout, "err": self.stderr}
        readers = [
            threading.Thread(target=lambda name=name, stream=stream: found.update({name: stream.read()}), daemon=True)
            for name, stream in streams.items()
        ]
        for reader in readers:
            reader.start()
        if text is not None:
            with suppress(BrokenPipeError):
                self.stdin.write(text)
        with suppress(BrokenPipeError):
            self.stdin.close()
        for reader in readers:
            reader.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(["orchestrator"], timeout or 0.0)
        self.wait(None if deadline is None else max(1.0, deadline - time.monotonic()))
        return found["out"], found["err"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self.kill()
        for stream in (self.stdin, self.stdout, self.stderr):
            with suppress(OSError):
                stream.close()
        self.wait()
        self._link.close()


def _run(kind: str) -> None:
    """As the program's own first lines do."""
    if kind == "aws":
        from awscli.clidriver import main as aws  # type: ignore[import-not-found]  # noqa: PLC0415 - its own Python has it

        sys.argv[0] = "aws"
        sys.exit(aws())
    from orchestrator.cli.main import main  # noqa: PLC0415 - is there already

    main()


if __name__ == "__main__":
    _address, _kind = sys.argv[1:]
    serve(_address, _kind)
    _run(_kind)
