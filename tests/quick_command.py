"""The command, without waiting for its imports each time: a process that has them forks for each call.

For tests that run dozens of commands, each of which would spend a second on imports. What a call sees is what a process
of its own would see: arguments, variables, working folder, standard streams, exit code. Of signals only this: when the
caller is killed, it gets TERM.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLIENT = r"""
import json, os, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect({address!r})
call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(link, [len(call).to_bytes(4, "big")], [0, 1, 2])
link.sendall(call)
code = link.recv(1)
sys.exit(code[0] if code else 70)
"""


@contextmanager
def quick_command(folder: Path) -> Iterator[Path]:
    """The path of a program to be called as `orchestrator`."""
    address = str(folder / "calls")
    with subprocess.Popen([sys.executable, __file__, address], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        client = folder / "client.py"
        client.write_text(_CLIENT.format(address=address))
        program = folder / "orchestrator"
        program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-ISE", str(client)])} "$@"\n')
        program.chmod(0o755)
        try:
            yield program
        finally:
            server.terminate()


def serve(address: str) -> None:
    """Forks a child for each call."""
    _import_all()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        link, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _answer(link)
        link.close()
        _reap()


def _answer(link: socket.socket) -> None:
    """Never returns. A child of the child runs the command: somebody who outlives it must tell its exit code."""
    length, descriptors, _, _ = socket.recv_fds(link, 4, 3)
    call = b""
    while len(call) < int.from_bytes(length, "big"):
        call += link.recv(65536)
    worker = os.fork()
    if worker == 0:
        link.close()
        _run(call, descriptors)
    for each in descriptors:
        os.close(each)
    ended = os.pidfd_open(worker)
    ready, _, _ = select.select([link.fileno(), ended], [], [])
    if ended not in ready:  # whoever has called was killed
        os.kill(worker, signal.SIGTERM)
    _, status = os.waitpid(worker, 0)
    code = os.waitstatus_to_exitcode(status)
    if ended in ready:
        link.sendall(bytes([code if code >= 0 else 128 - code]))
    os._exit(0)


def _run(call: bytes, descriptors: list[int]) -> None:
    """Never returns."""
    arguments, folder, environment = json.loads(call)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.closerange(3, 256)
    # Those of before know too much about what they wrote to.
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, mode) for n, mode in enumerate("rww"))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["orchestrator", *arguments]
    from orchestrator.cli.main import main  # noqa: PLC0415 - is there already

    code = 70
    try:
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:  # noqa: BLE001 - whatever it is, the caller must see it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _reap() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


def _import_all() -> None:
    """Whatever commands import late; nothing of it starts a thread or opens a file."""
    from importlib import import_module  # noqa: PLC0415 - only the server needs it

    for name in ("aioboto3", "aiohttp.web", "orchestrator.sandbox.server", "orchestrator.sandbox.rehearsal"):
        import_module(name)
    from orchestrator.cli.main import COMMANDS  # noqa: PLC0415 - as above

    for module, _ in COMMANDS.values():
        import_module(f"orchestrator.cli.{module}")
    for path in sorted(Path(sys.modules["orchestrator.cli.main"].__file__ or "").parent.glob("run_*.py")):
        import_module(f"orchestrator.cli.{path.stem}")


if __name__ == "__main__":
    serve(sys.argv[1])
