"""`make lambda`, without a network: pip's choice of wheels from a folder, and the packages as they are here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import lambda_zip
import pages
import pytest
from pin import needed

LEFT_OUT = ("orchestrator.sandbox", "orchestrator.testing", "anycrc", "opentelemetry")
"""What isn't packed: what rehearses and tests; and traces, an extra that the function hasn't."""


def copy_installed(folder: Path) -> None:
    """What pip would install, from this environment: the files are the same."""
    for name in needed("orchestrator", frozenset({"lambda"})) - set(lambda_zip.NOT_NEEDED):
        for file in distribution(name).files or ():
            source = Path(str(file.locate()))
            if ".." not in file.parts and source.is_file():
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip's content, as Lambda lays it out."""
    folder = tmp_path_factory.mktemp("lambda")
    copy_installed(folder / "made")
    lambda_zip.prune(folder / "made")
    lambda_zip.add_ourselves(folder / "made")
    digest = lambda_zip.pack(folder / "made", folder / "out" / "a.zip", level=1)
    assert lambda_zip.report(digest, folder / "out" / "a.zip", folder / "made").startswith(f"{folder}/out/a.zip: ")
    with zipfile.ZipFile(folder / "out" / "a.zip") as archive:
        archive.extractall(folder / "task")
    return folder


def imported(unpacked: Path, code: str) -> str:
    """Runs Python that has the standard library and the zip's content, and nothing else."""
    task = unpacked / "task"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", f"import sys; sys.path.insert(0, {str(task)!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=unpacked,
        env={"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1", "PATH": os.environ["PATH"]},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


_WALK = f"""
import importlib, pkgutil, orchestrator
for found in pkgutil.walk_packages(orchestrator.__path__, "orchestrator."):
    if found.name == "orchestrator.__main__":
        continue  # runs the command
    try:
        importlib.import_module(found.name)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith({LEFT_OUT!r}):
            raise
import aioboto3, aiobotocore.session, yaml._yaml, pydantic_core, aiohttp._http_parser, deflate, pathspec, dateutil.rrule
outside = [
    name for name, module in sys.modules.items()
    if getattr(module, "__file__", None) and "site-packages" in module.__file__
]
print(outside, "orchestrator.sandbox.server" in sys.modules)
"""


def test_every_module_finds_what_it_imports(unpacked: Path) -> None:
    assert imported(unpacked, _WALK) == "[] False\n"


_HANDLER = """
from orchestrator.durable import Settings, handler, make_handler
from aws_durable_execution_sdk_python.lambda_service import LambdaClient
print(callable(handler), callable(make_handler(Settings(env={}))))
print(sorted(LambdaClient.initialize_from_env().client.meta.service_model.operation_names))
"""


def test_the_handler_is_there_and_the_sdk_can_keep_its_checkpoints(unpacked: Path) -> None:
    said = imported(unpacked, _HANDLER).splitlines()
    assert said[0] == "True True"
    assert "CheckpointDurableExecution" in said[1]
    assert "GetDurableExecutionState" in said[1]


def test_the_services_that_we_call_have_their_models(unpacked: Path) -> None:
    code = """
import botocore.session
session = botocore.session.Session()
for name in ("s3", "codedeploy", "sts", "cloudwatch", "sns"):
    session.get_service_model(name)
print(session.get_available_services())
"""
    names = imported(unpacked, code)
    assert "'codedeploy'" in names
    assert "'ec2'" not in names


def test_what_is_not_loaded_is_left_out(unpacked: Path) -> None:
    names = [path.relative_to(unpacked / "task").as_posix() for path in (unpacked / "task").rglob("*")]
    assert not [name for name in names if name.startswith(("orchestrator/sandbox", "orchestrator/testing", "anycrc"))]
    assert not [name for name in names if "/tests/" in name or name.endswith((".pyc", ".pyi", ".pyx"))]
    assert [name for name in names if "license" in name.lower()], "licences go wherever the code goes"
    assert "orchestrator/LICENSE" in names


def test_the_bytes_are_the_same_whoever_packs_them_and_when(unpacked: Path, tmp_path: Path) -> None:
    here, moved = unpacked / "task" / "yaml", tmp_path / "elsewhere"
    shutil.copytree(here, moved)
    for path in moved.rglob("*.py"):
        path.chmod(0o600)
        os.utime(path, (1, 1))
    assert lambda_zip.pack(moved, tmp_path / "b.zip") == lambda_zip.pack(here, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        modes = {entry.external_attr >> 16 for entry in archive.infolist()}
    assert modes == {0o100644, 0o100755}


def test_it_is_far_below_what_lambda_takes(unpacked: Path) -> None:
    assert (unpacked / "out" / "a.zip").stat().st_size < 25_000_000


def test_one_that_is_too_large_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    with (folder / "large.bin").open("wb") as file:
        file.truncate(lambda_zip.LARGEST_UNPACKED + 1)  # a hole, which takes no disk
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(SystemExit, match="Lambda takes 250"):
        lambda_zip.report("", tmp_path / "a.zip", folder)


# --- pip ------------------------------------------------------------------------------------------------------------


def wheels() -> Iterator[tuple[str, str]]:
    """File name and where it is for: a package for each kind, so that what pip takes shows in what is installed."""
    for tag in ("cp313-cp313-manylinux2014_aarch64", "cp313-cp313-manylinux2014_x86_64", "cp311-cp311-linux_x86_64"):
        yield f"binary-1.0-{tag}.whl", tag
    yield "stable-1.0-cp311-abi3-manylinux_2_28_aarch64.whl", "abi3"
    yield "plain-1.0-py3-none-any.whl", "any"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    for file, where in wheels():
        name, version, tag = file.removesuffix(".whl").split("-", 2)
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(folder / file, "w") as archive:
            archive.writestr(f"{name}.py", f"where = {where!r}\n")
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
            archive.writestr(f"{info}/RECORD", "")
    return folder


@pytest.mark.parametrize(("architecture", "found"), [("arm64", "aarch64"), ("x86_64", "x86_64")])
def test_pip_takes_the_wheels_of_the_functions_machine(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str, found: str
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    wanted = ["binary", "plain", *(["stable"] if architecture == "arm64" else [])]
    lambda_zip.install(lambda_zip.Target("3.13", architecture), tmp_path / "made", wanted)
    assert found in (tmp_path / "made" / "binary.py").read_text()


def test_what_has_no_wheel_is_refused(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    with pytest.raises(subprocess.CalledProcessError):
        lambda_zip.install(lambda_zip.Target("3.14", "x86_64"), tmp_path / "made", ["binary"])


def test_everything_that_we_need_is_asked_for() -> None:
    wanted = " ".join(lambda_zip.requirements())
    assert "aioboto3>=" in wanted
    assert ("aws-durable-execution-sdk-python" in wanted) == (pages.ROOT / "orchestrator" / "durable.py").exists()
