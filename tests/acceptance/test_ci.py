"""`apply` in CI systems: blocks, annotations, the step's summary and the test report, of the real command."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import ci_logs
from rig import MakeRig, Rig, github

from orchestrator.sandbox.options import Failure, Faults, stuck

LOG = "::error::forged\n##[add-path]/tmp/evil\n\x1b[31m]]></system-out>\x00<b>"


def in_ci(rig: Rig, **env: str) -> Rig:
    command = replace(rig.command, environment={**rig.command.environment, "CI": "true", **env})
    return replace(rig, command=command)


def became(rig: Rig) -> dict[str, str]:
    """What the test report says of each target."""
    root = ET.parse(rig.command.folder / "junit.xml").getroot()  # noqa: S314 - our own
    kinds = ("skipped", "error", "failure")
    return {
        case.attrib["classname"]: next((each.tag for each in case if each.tag in kinds), "passed")
        for case in root.iter("testcase")
    }


def test_a_failed_release_on_github(make_rig: MakeRig) -> None:
    names = ["web", "api", "jobs"]
    fails = Failure(target="api/g", log_tail=LOG, message="exit code 1 ##[group]forged")
    rig = make_rig([f"{name}/g" for name in names], faults=Faults(failures=(fails,)), time_scale=100)
    summary = rig.command.folder / "summary.md"
    log_to = {"ORCHESTRATOR_LOG_FILE": "run.log", "ORCHESTRATOR_LOG_FORMAT": "json", "ORCHESTRATOR_LOG_LEVEL": "debug"}
    rig = in_ci(rig, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary), ORCHESTRATOR_JUNIT="junit.xml", **log_to)
    rig.command.write(github(names, policy="{on_failure: continue}"))
    ended = rig.command("apply", "release.yaml", "--output", "json", "--events", "events.jsonl")
    assert ended.code == 3
    log = ci_logs.github(ended.err.splitlines())
    assert {title.split()[1] for title in log.blocks} == {f"{name}/g" for name in names}
    assert [title for title, _ in log.errors] == ["api/g failed"]
    assert sum(bool(re.search(r"/g +d-\w+ started", line)) for line in log.open) == 3
    failed = next(lines for title, lines in log.blocks.items() if " api/g " in title)
    assert any("| ::error::forged" in line for line in failed)  # within a line it is no order
    ci_logs.github(ended.out.splitlines())
    events = (rig.command.folder / "events.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in ended.out.splitlines()] == [json.loads(line) for line in events]
    assert became(rig) == {"web": "passed", "api": "failure", "jobs": "passed"}
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("### ❌ test to default: failed\n")
    assert not re.search(r"<b>|##\[|\x1b|\x00", text)
    check_log((rig.command.folder / "run.log").read_text(), rig)
    status = rig.command("status")  # the summary of a run that is looked at later is tamed, too
    assert "# #[add-path]/tmp/evil" in status.out
    ci_logs.github(status.out.splitlines())


def check_log(text: str, rig: Rig) -> None:
    """Calls have AWS's request ids, and belong to a run and a target; nothing of a secret or of a bundle is there."""
    records = [json.loads(line) for line in text.splitlines()]
    (run,) = {each["run"] for each in records} - {None}
    created = [each for each in records if each.get("operation") == "CreateDeployment"]
    assert {(each["run"], each["target"]) for each in created} == {
        (run, f"{name}/g") for name in ("web", "api", "jobs")
    }
    calls = [each for each in records if each["logger"] == "orchestrator.aws.calls"]
    assert all(each["request_id"] and each["status"] == 200 and each["seconds"] >= 0 for each in calls)
    assert [each["target"] for each in records if each["level"] == "error"] == ["api/g"]
    assert rig.command.environment["AWS_SECRET_ACCESS_KEY"] not in text
    assert "Authorization" not in text
    assert records[-1]["message"] == "exit code 3"


def test_a_release_that_is_left_on_gitlab(make_rig: MakeRig) -> None:
    rig = make_rig(["web/g", "api/g"], faults=Faults(slow=(stuck("web/g"),)), time_scale=100)
    rig = in_ci(rig, GITLAB_CI="true")
    rig.command.write(github(["web", "api"]))
    ended = rig.command.shell("$ORCHESTRATOR apply release.yaml --junit junit.xml --for 3s 2>err.log")
    assert ended.code == 8
    log = ci_logs.gitlab((rig.command.folder / "err.log").read_bytes().decode())
    assert [re.sub(r"^[\d:]+ | after .*", "", title) for title in log.blocks] == [
        "api/g  succeeded",
        "web/g left running",
    ]
    assert became(rig) == {"api": "passed", "web": "skipped"}


def test_a_release_that_is_cut_off_from_its_state_leaves_a_report(make_rig: MakeRig) -> None:
    names = [f"app-{number}" for number in range(8)]
    rig = make_rig([f"{name}/g" for name in names], time_scale=100)
    rig.command.write(github(names))
    # No file may become larger than 16 kB: the journal's is the first that does.
    ended = rig.command.shell("ulimit -f 16; $ORCHESTRATOR apply release.yaml --junit junit.xml --result result.json")
    assert ended.code == 1
    assert "can't write" in ended.err
    found = became(rig)
    assert set(found) == set(names)
    assert "error" in found.values()
    assert {name: found[name.split("/")[0]] for name, state in rig.command.states().items() if state == "errored"} == {
        name: "error" for name, state in rig.command.states().items() if state == "errored"
    }
