"""docs/sandbox.md lists the operations that the sandbox has: all of them, and nothing else."""

from __future__ import annotations

import ast
import inspect

import click
import pages

from orchestrator.cli.sandbox import serve
from orchestrator.sandbox import s3, sts
from orchestrator.sandbox.codedeploy import HANDLERS
from orchestrator.sandbox.shapes import ServiceModel

TEXT = pages.page("sandbox")


def listed(service: str) -> list[str]:
    rows = {row[0]: pages.codes(row[1]) for row in pages.rows(pages.section(TEXT, "Operations"))}
    return rows[service]


def test_codedeploy() -> None:
    assert sorted(listed("CodeDeploy")) == sorted(HANDLERS)


def test_what_codedeploy_leaves_out() -> None:
    """Every operation of the service model is either there or told to be missing."""
    assert set(HANDLERS) == ServiceModel().names


def test_s3() -> None:
    tables = (s3._SERVICE, s3._BUCKET, s3._OBJECT)
    assert sorted(listed("S3")) == sorted(name for table in tables for name, _ in table.values())


def test_sts() -> None:
    """The cases of its dispatch."""
    tree = ast.parse(inspect.getsource(sts.call))
    cases = [node.value for node in ast.walk(tree) if isinstance(node, ast.MatchValue)]
    assert sorted(listed("STS")) == sorted(str(case.value) for case in cases if isinstance(case, ast.Constant))


def test_the_examples_use_options_that_there_are() -> None:
    known = {spelling for param in serve.params if isinstance(param, click.Option) for spelling in param.opts}
    used = {
        word
        for block in pages.blocks(TEXT, "sh")
        for line in block.splitlines()
        if line.startswith("orchestrator sandbox")
        for word in line.partition("#")[0].split()
        if word.startswith("--")
    }
    assert used
    assert used <= known
