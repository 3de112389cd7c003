"""The Dockerfile: what hadolint finds, and that the versions in it are those of the templates and of `make lambda`."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path

import lambda_zip
import pages
import pytest
from cloudformation import function_template

FILE = pages.ROOT / "Dockerfile"
TEXT = FILE.read_text(encoding="utf-8")


def hadolint(text: str) -> str:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("hadolint's wheel is for Linux on x86_64 only")
    program = Path(sys.executable).with_name("hadolint")
    ended = subprocess.run([program, "--no-color", "-"], input=text, capture_output=True, text=True, check=False)
    return ended.stdout + ended.stderr


def test_hadolint_finds_nothing() -> None:
    assert hadolint(TEXT) == ""


def test_hadolint_would_find_something() -> None:
    assert "DL3006" in hadolint(TEXT + "\nFROM python\n")


def test_the_function_is_the_same_in_every_shape() -> None:
    """Zip, image and template agree on the handler and on a Python that Lambda has for durable functions."""
    found = function_template().resources()["Function"]
    assert f'CMD ["{found["Handler"]}"]' in TEXT
    versions = re.findall(r"^ARG LAMBDA_PYTHON_VERSION=(.*)$", TEXT, flags=re.MULTILINE)
    makefile = (pages.ROOT / "Makefile").read_text(encoding="utf-8")
    made = re.findall(r"^LAMBDA_(PYTHON|ARCHITECTURE) \?= (.*)$", makefile, flags=re.MULTILINE)
    assert versions == [found["Runtime"].removeprefix("python")]
    assert dict(made) == {"PYTHON": versions[0], "ARCHITECTURE": found["Architectures"][0]}
    runtimes = function_template().data["Parameters"]["Runtime"]["AllowedValues"]
    assert [f"python{each}" for each in lambda_zip._GLIBC] == runtimes


def test_the_image_that_is_built_without_a_target_is_the_command() -> None:
    stages = re.split(r"^FROM ", TEXT, flags=re.MULTILINE)
    assert 'ENTRYPOINT ["orchestrator"]' in stages[-1]
