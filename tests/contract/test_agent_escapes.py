"""What bundles, AppSpecs and scripts try in order to get out of their instance, or to take all of this machine."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from agent_cases import Shelf

from orchestrator.sandbox.agent.bubble import Tools
from orchestrator.sandbox.agent.bundles import Bundle
from orchestrator.sandbox.agent.faults import ScriptFailure
from orchestrator.sandbox.agent.fleet import InstanceAgents
from orchestrator.sandbox.agent.instance import EventResult, Instance
from orchestrator.sandbox.agent.limits import MIB, Limits
from orchestrator.sandbox.ports import DeploymentSpec

APPSPEC = "version: 0.0\nos: linux\n"
EVENTS = ("ApplicationStop", "DownloadBundle", "BeforeInstall", "Install", "AfterInstall")
SMALL = Limits(processes=64, memory=96 * MIB, disk=48 * MIB, file=16 * MIB)


class Outside:
    """A folder of this machine that nothing on an instance may see or touch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "secret").write_text("not for the instance\n")
        (folder / "secret").chmod(0o640)
        self._before = self._digest()

    def is_untouched(self) -> bool:
        return self._digest() == self._before

    def _digest(self) -> str:
        seen = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            found = path.lstat()
            seen.update(f"{path} {found.st_mode} {found.st_uid} {found.st_mtime_ns} {path.read_bytes()!r}".encode())
        return seen.hexdigest()


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    place = Outside(tmp_path / "outside")
    yield place
    assert place.is_untouched()


def spec(number: int = 1) -> DeploymentSpec:
    return DeploymentSpec(
        deployment_id=f"d-{number:09}",
        application="shop",
        deployment_group="fleet",
        deployment_group_id="group",
        revision={},
        file_exists_behavior="OVERWRITE",
    )


async def deploy(instance: Instance, shelf: Shelf, bundle: Bundle, number: int = 1) -> EventResult:
    """The first event that fails, or the last."""
    shelf.bundle = bundle
    result = EventResult()
    for event in EVENTS:
        result = await instance.run_event(event, spec(number))
        if result.failure is not None:
            break
    return result


# --- bundles

Member = tuple[str, bytes, str]
"""Name, type, and a link's target or a file's content."""
FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def tar_of(*members: Member, appspec: str = APPSPEC, uid: int = 0) -> Bundle:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, kind, what in (("appspec.yml", FILE, appspec), *members):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.uid, info.gid = kind, 0o755, uid, uid
            body = what.encode() if kind == FILE else b""
            info.size, info.linkname = len(body), "" if kind == FILE else what
            archive.addfile(info, io.BytesIO(body))
    return Bundle(kind="tar", chunks=lambda: (content.getvalue(),))


def zip_of(*members: tuple[str, int, str], system: int = 3, appspec: str = APPSPEC) -> Bundle:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, mode, what in (("appspec.yml", stat.S_IFREG | 0o644, appspec), *members):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = system, mode << 16
            archive.NameToInfo.pop(name, None)  # a name may stand twice here without a warning
            archive.writestr(info, what)
    return Bundle(kind="zip", chunks=lambda: (content.getvalue(),))


def installing(*entries: tuple[str, str], more: str = "") -> str:
    files = "".join(f'  - source: "{source}"\n    destination: "{destination}"\n' for source, destination in entries)
    return f"{APPSPEC}files:\n{files}{more}"


def bundles(out: str) -> dict[str, tuple[Bundle, bool]]:
    """By name: the bundle, and whether the instance refuses it. `out` is a folder outside."""
    up, regular, link = "../" * 30, stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777
    return {
        "tar: a name that climbs": (tar_of((f"{up}{out[1:]}/x", FILE, "1")), True),
        "tar: .. in the middle": (tar_of(("a/../../../x", FILE, "1")), True),
        "tar: an absolute name": (tar_of((f"{out}/x", FILE, "1")), False),
        "tar: through an absolute link": (tar_of(("l", LINK, out), ("l/x", FILE, "1")), True),
        "tar: through a link that climbs": (tar_of(("l", LINK, f"{up}{out[1:]}"), ("l/x", FILE, "1")), True),
        "tar: through two links": (tar_of(("a", LINK, "b"), ("b", LINK, out), ("a/x", FILE, "1")), True),
        "tar: a link in place of a folder": (tar_of(("d/y", FILE, "1"), ("d", LINK, out), ("d/x", FILE, "1")), True),
        "tar: over a link to a file": (tar_of(("l", LINK, f"{out}/secret"), ("l", FILE, "1")), False),
        "tar: an absolute hard link": (tar_of(("h", HARD, f"{out}/secret")), True),
        "tar: a hard link that climbs": (tar_of(("h", HARD, f"{up}{out[1:]}/secret")), True),
        "tar: a hard link to a link": (tar_of(("l", LINK, f"{out}/secret"), ("h", HARD, "l"), ("h", FILE, "1")), False),
        "tar: a character device": (tar_of(("null", tarfile.CHRTYPE, "")), True),
        "tar: a block device": (tar_of(("disk", tarfile.BLKTYPE, "")), True),
        "tar: a pipe": (tar_of(("pipe", tarfile.FIFOTYPE, "")), True),
        "zip: a name that climbs": (zip_of((f"{up}{out[1:]}/x", regular, "1")), False),
        "zip: an absolute name": (zip_of((f"{out}/x", regular, "1")), False),
        "zip: through an absolute link": (zip_of(("l", link, out), ("l/x", regular, "1")), True),
        "zip: through a link that climbs": (zip_of(("l", link, f"{up}{out[1:]}"), ("l/x", regular, "1")), True),
        "zip: Windows names that climb": (zip_of((f"..\\..\\{out[1:]}\\x", 0, "1"), system=0), False),
        "zip: over a link to a file": (zip_of(("l", link, f"{out}/secret"), ("l", regular, "1")), False),
        "source climbs": (tar_of(appspec=installing((f"{up}{out[1:]}/secret", "/opt/app"))), True),
        "source is a link": (tar_of(("l", LINK, out), appspec=installing(("l", "/opt/app"))), False),
        "destination climbs": (tar_of(("x", FILE, "1"), appspec=installing(("x", f"/..{out}"))), False),
        "destination is relative": (tar_of(("x", FILE, "1"), appspec=installing(("x", f"{up}{out[1:]}"))), False),
        "mode of a link's target": (
            tar_of(
                ("l", LINK, f"{out}/secret"),
                appspec=installing(("l", "/opt"), more='permissions:\n  - object: /opt/l\n    mode: "777"\n'),
            ),
            True,
        ),
        "owner of a link's target": (
            tar_of(
                ("l", LINK, f"{out}/secret"),
                appspec=installing(("l", "/opt"), more="permissions:\n  - object: /opt/l\n    owner: nobody\n"),
            ),
            True,
        ),
        "a folder linked to itself": (tar_of(("d/l", LINK, "."), appspec=installing(("d", "/opt/app"))), False),
        "more than the disk holds": (tar_of(("x", FILE, "0" * (SMALL.disk + 1))), True),
    }


def test_bundles_stay_in_their_instance(tmp_path: Path, outside: Outside) -> None:
    """28 of them. Where the real agent would take one, so does the instance, inside its root."""
    tried = bundles(str(outside.folder))

    async def main() -> dict[str, bool]:
        shelf = Shelf()
        agents = InstanceAgents(folder=tmp_path / "instances", bundles=shelf, tools=None, limits=SMALL)
        refused: dict[str, bool] = {}
        for name, (bundle, _) in tried.items():
            result = await deploy(agents.instance(f"i-{len(refused)}"), shelf, bundle)
            refused[name] = result.failure is not None
        return refused

    assert anyio.run(main) == {name: is_refused for name, (_, is_refused) in tried.items()}
    assert len(tried) == 28


def test_what_an_earlier_revision_left_leads_nowhere(tmp_path: Path, outside: Outside) -> None:
    """Links on the instance to places outside: the agent's own files, and folders that are installed into."""
    out = str(outside.folder)
    deployments = "/opt/codedeploy-agent/deployment-root"
    links = {
        "/opt/app": out,
        f"{deployments}/deployment-instructions": out,
        f"{deployments}/group": out,
        "/var/log/aws": out,
    }

    async def main() -> None:
        shelf = Shelf()
        agents = InstanceAgents(folder=tmp_path / "instances", bundles=shelf, tools=None)
        for number, (path, target) in enumerate(links.items()):
            instance = agents.instance(f"i-{number}")
            await deploy(instance, shelf, tar_of(("x", FILE, "1"), appspec=installing(("x", "/opt/app"))))
            instance.root.rmtree(path)
            instance.root.mkdirs(path.rpartition("/")[0])
            instance.root.symlink(target, path)
            again = tar_of(("secret", FILE, "2"), appspec=installing(("secret", "/opt/app")))
            await deploy(instance, shelf, again, number=2)
            await deploy(instance, shelf, again, number=3)

    anyio.run(main)


def test_the_cleanup_file_removes_nothing_outside(tmp_path: Path, outside: Outside) -> None:
    async def main() -> None:
        shelf = Shelf()
        agents = InstanceAgents(folder=tmp_path / "instances", bundles=shelf, tools=None)
        instance = agents.instance("i-1")
        bundle = tar_of(("x", FILE, "1"), appspec=installing(("x", "/opt/app")))
        await deploy(instance, shelf, bundle)
        cleanup = "/opt/codedeploy-agent/deployment-root/deployment-instructions/group-cleanup"
        up = "/.." * 30
        instance.root.write(cleanup, f"{outside.folder}/secret\n{up}{outside.folder}/secret\n/\n..\n".encode())
        result = await deploy(instance, shelf, bundle, number=2)
        assert result.failure is None or "resource busy" in str(result.failure) or "Invalid" in str(result.failure)

    anyio.run(main)


# --- scripts


def scripts(out: str, port: int) -> dict[str, str]:
    """Attempts that have to fail on the instance: each ends with 0 only if it got through."""
    return {
        "write outside": f"echo x > {out}/x",
        "read outside": f"cat {out}/secret",
        "climb": f"cat {'../' * 30}{out[1:]}/secret",
        "see this machine's homes": "ls /home/*/* | grep .",
        "other roots": f"for p in /proc/[0-9]*; do cat $p/root{out}/secret && exit 0; done; exit 1",
        "other folders": f"for p in /proc/[0-9]*; do cat $p/cwd/{'../' * 30}{out[1:]}/secret && exit 0; done; exit 1",
        "mount": "mount -t tmpfs none /mnt",
        "bind mount": "mount --bind /usr /mnt",
        "write to programs": "echo x > /usr/bin/env || echo x > /usr/bin/sandbox-was-here",
        "remount programs": "mount -o remount,rw,bind /usr && touch /usr/bin/sandbox-was-here",
        "make a device": "mknod /tmp/disk b 8 0",
        "use a device": "mknod -m 666 /tmp/mem c 1 1 && head -c 1 /tmp/mem",
        "kernel settings": "echo x > /proc/sys/kernel/core_pattern",
        "host name of this machine": "echo x > /proc/sys/kernel/hostname",
        "sysrq": "echo h > /proc/sysrq-trigger",
        "kernel memory": "head -c 64 /proc/kcore",
        "a /proc of its own": "unshare --user --map-root-user --mount --pid --fork --mount-proc "
        "sh -c 'echo x > /proc/sys/kernel/core_pattern'",
        "another owner of all": "unshare --user --map-root-user --mount umount /proc/sys",
        "another root by chroot": "chroot /proc/1/root ls",
        "enter init's namespaces": "nsenter --target 1 --mount ls",
        "reach this machine": f"exec 3<>/dev/tcp/127.0.0.1/{port}",
        "reach the network": "exec 3<>/dev/tcp/192.0.2.1/80",
        "resolve a name": "getent hosts example.com",
        "a network of its own": "ip link add dummy0 type dummy",
        "see this machine's processes": "ls -d /proc/[0-9]* | wc -l | xargs test 12 -lt",
        "raise limits": "ulimit -f unlimited",
        "the clock": "date -s @0",
    }


def test_scripts_stay_in_their_instance(tmp_path: Path, outside: Outside, tools: Tools) -> None:
    before = kernel_settings()
    with socket.create_server(("127.0.0.1", 0)) as server:
        tried = scripts(str(outside.folder), server.getsockname()[1])
        ended = run_all(tmp_path, tools, {name: hook(f"#!/bin/bash\n{text}\n") for name, text in tried.items()})
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert {name: code(result) for name, result in ended.items()} == dict.fromkeys(tried, "ScriptFailed")
    assert kernel_settings() == before
    assert len(tried) == 27


GREEDY = {
    "outlives its time-out": ("trap '' TERM; sleep 61001", "ScriptTimedOut"),
    "outlives it in the background": ("setsid sleep 61002 >/dev/null 2>&1 & sleep 61003", "ScriptTimedOut"),
    "outlives it as a daemon": ("(setsid sh -c 'trap \"\" TERM HUP; sleep 61004' &) ; sleep 61005", "ScriptTimedOut"),
    "holds its output": ("setsid sleep 61006 & exit 0", "OutputsLeftOpen"),
    "stops itself": ("kill -STOP $$", "ScriptTimedOut"),
    "forks for ever": ("f() { f | f & }; f; sleep 61007", "ScriptFailed"),
    "starts process after process": ("while :; do sleep 61008 & done", "ScriptFailed"),
    "one huge file": ("head -c 200M /dev/zero > /opt/big", "ScriptFailed"),
    "many files": ("i=0; while head -c 4M /dev/zero > /opt/f$i; do i=$((i+1)); done; sleep 61009", "ScriptFailed"),
    "a huge process": ("x=$(head -c 1G /dev/zero | tr '\\0' x)", "ScriptFailed"),
    "shared memory": ("i=0; while head -c 4M /dev/zero > /dev/shm/f$i; do i=$((i+1)); done; exit 1", "ScriptFailed"),
    "many processes of some size": (
        "while :; do (x=$(head -c 20M /dev/zero | tr '\\0' x); sleep 61010) & done",
        "ScriptFailed",
    ),
    "writes without end": ("yes", "ScriptTimedOut"),
    "writes a line without end": ("tr '\\0' x < /dev/zero", "ScriptTimedOut"),
    "kills all that it sees": ("kill -9 -1; exit 1", "ScriptFailed"),
    "removes all that it sees": ("rm -rf /[!dpu]* 2>/dev/null; exit 1", "ScriptFailed"),
}


FORKING = ("forks for ever", "starts process after process", "many processes of some size")


def test_scripts_that_take_too_much_are_ended(tmp_path: Path, outside: Outside, tools: Tools) -> None:
    """Those that are ended for what they take have all the time that a busy machine may need to see it."""
    patience = {"ScriptFailed": 60}
    bundles = {name: hook(f"#!/bin/bash\n{text}\n", patience.get(how, 2)) for name, (text, how) in GREEDY.items()}
    ended: dict[str, EventResult] = {}
    for name in FORKING:  # each alone: while they last, others may be refused a process by the kernel
        ended |= run_all(tmp_path / name.replace(" ", "-"), tools, {name: bundles.pop(name)})
    ended |= run_all(tmp_path, tools, bundles)
    assert {name: code(result) for name, result in ended.items()} == {name: how for name, (_, how) in GREEDY.items()}
    assert sleepers() == []
    assert len(GREEDY) == 16


def test_what_has_been_removed_can_be_deployed_again(tmp_path: Path, outside: Outside, tools: Tools) -> None:
    async def main() -> tuple[str | None, EventResult]:
        shelf = Shelf()
        agents = InstanceAgents(folder=tmp_path / "instances", bundles=shelf, tools=tools)
        instance = agents.instance("i-1")
        wipes = await deploy(instance, shelf, hook("#!/bin/bash\nrm -rf /[!dpu]*\nexit 1\n"))
        fine = await deploy(instance, shelf, hook("#!/bin/bash\nexit 0\n"), number=2)
        await agents.close()
        return code(wipes), fine

    wiped, fine = anyio.run(main)
    assert wiped == "ScriptFailed"
    assert fine.failure is None


def test_nobody_else_on_this_machine_gets_at_a_setuid_program(tmp_path: Path, tools: Tools) -> None:
    run_all(tmp_path, tools, {"setuid": hook("#!/bin/bash\ncp /bin/sh /opt/sh && chmod 4755 /opt/sh\n")})
    folder = tmp_path / "instances" / "i-0"
    program = folder / "root" / "opt" / "sh"
    assert program.stat().st_mode & stat.S_ISUID
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_services_of_a_script_live_until_the_sandbox_ends(tmp_path: Path, tools: Tools) -> None:
    """What is started in the background, outputs redirected, serves the next script; it doesn't outlive the fleet."""
    serve = "#!/bin/bash\nsetsid sleep 61020 >/dev/null 2>&1 &\n"
    look = "#!/bin/bash\npgrep -f 'sleep 61020'\n"

    async def main() -> tuple[EventResult, EventResult]:
        shelf = Shelf()
        agents = InstanceAgents(folder=tmp_path / "instances", bundles=shelf, tools=tools)
        instance = agents.instance("i-1")
        first = await deploy(instance, shelf, hook(serve))
        second = await deploy(instance, shelf, hook(look), number=2)
        assert sleepers() == ["sleep 61020"]
        await agents.close()
        return first, second

    assert [result.failure for result in anyio.run(main)] == [None, None]
    assert sleepers() == []


def test_an_agent_does_one_thing_at_a_time(tmp_path: Path, tools: Tools) -> None:
    """Also when a deployment was stopped, and the next one begins while a script of it still runs."""
    alone = "#!/bin/bash\nmkdir /opt/here || exit 1\nsleep 0.3\nrmdir /opt/here\n"

    async def main() -> list[str]:
        shelf = Shelf()
        agents = InstanceAgents(folder=tmp_path / "instances", bundles=shelf, tools=tools)
        codes: list[str] = []
        shelf.bundle = hook(alone)
        for number in (1, 2):
            await agents.run_event("i-1", "DownloadBundle", spec(number))

        async def run(number: int) -> None:
            codes.append((await agents.run_event("i-1", "AfterInstall", spec(number))).error_code)

        async with anyio.create_task_group() as group:
            for number in (1, 2, 1, 2):
                group.start_soon(run, number)
        await agents.close()
        return codes

    assert anyio.run(main) == ["Success"] * 4


def test_a_cancelled_script_leaves_nothing(tmp_path: Path, tools: Tools) -> None:
    async def main() -> None:
        shelf = Shelf()
        agents = InstanceAgents(folder=tmp_path / "instances", bundles=shelf, tools=tools)
        with anyio.move_on_after(1):
            await deploy(agents.instance("i-1"), shelf, hook("#!/bin/bash\nsleep 61030\n"))

    anyio.run(main)
    assert sleepers() == []


# --- means


def kernel_settings() -> list[str]:
    return [Path("/proc/sys/kernel", name).read_text() for name in ("core_pattern", "hostname")]


def hook(text: str, timeout: int = 30) -> Bundle:
    appspec = f"{APPSPEC}hooks:\n  AfterInstall:\n    - location: hook.sh\n      timeout: {timeout}\n"
    return tar_of(("hook.sh", FILE, text), appspec=appspec)


def run_all(tmp_path: Path, tools: Tools, bundles: dict[str, Bundle]) -> dict[str, EventResult]:
    """Each on an instance of its own."""
    ended: dict[str, EventResult] = {}

    async def main() -> None:
        room = anyio.CapacityLimiter(6)

        async def one(number: int, name: str, bundle: Bundle) -> None:
            async with room:
                shelf = Shelf()
                agents = InstanceAgents(folder=tmp_path / "instances", bundles=shelf, tools=tools, limits=SMALL)
                ended[name] = await deploy(agents.instance(f"i-{number}"), shelf, bundle)
                await agents.close()

        async with anyio.create_task_group() as group:
            for number, (name, bundle) in enumerate(bundles.items()):
                group.start_soon(one, number, name, bundle)

    anyio.run(main)
    return ended


def code(result: EventResult) -> str | None:
    return result.failure.code if isinstance(result.failure, ScriptFailure) else result.failure


def sleepers() -> list[str]:
    """Processes of these tests' scripts that this machine still has."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"sleep") and words[1].startswith(b"610"):
            found.append(os.fsdecode(b" ".join(words[:2])))
    return found
