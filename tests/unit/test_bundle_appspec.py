"""The AppSpec check: what the agent takes, what it refuses, and where in the file."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.bundle.appspec import AppSpecReport, check_appspec
from orchestrator.bundle.appspec_findings import AppSpecFinding
from orchestrator.bundle.appspec_types import FileMapping, Script
from orchestrator.bundle.entries import Contents, Entry
from orchestrator.bundle.ruby_scalars import Scalar, read_plain

CONTENTS = Contents(
    [
        Entry("appspec.yml", "file"),
        Entry("app", "dir", 0o755),
        Entry("app/x.txt", "file"),
        Entry("s/ok.sh", "file", 0o755),
        Entry("s/two.sh", "file", 0o755),
        Entry("s/a b.sh", "file", 0o755),
        Entry("s/link.sh", "symlink", 0o777, target="ok.sh"),
        Entry("s/away.sh", "symlink", 0o777, target="/usr/bin/true"),
        Entry("s/gone.sh", "symlink", 0o777, target="nothing"),
        Entry("s/round.sh", "symlink", 0o777, target="round.sh"),
        Entry("current", "symlink", 0o777, target="app"),
    ]
)


def check(text: str | bytes, heads: Mapping[str, bytes] | None = None) -> AppSpecReport:
    content = text.encode() if isinstance(text, str) else text

    def read(names: Collection[str], limit: int, /) -> Mapping[str, bytes]:
        return {name: (heads or {})[name][:limit] for name in names if name in (heads or {})}

    return check_appspec(content, CONTENTS, file="B/appspec.yml", heads=read)


def head(rest: str = "") -> str:
    return f"version: 0.0\nos: linux\n{rest}"


def flat(findings: object) -> list[tuple[str, int, int, str]]:
    assert isinstance(findings, tuple)
    return [(f.code, f.line, f.column, f.place) for f in findings if isinstance(f, AppSpecFinding)]


def error_codes(text: str | bytes) -> list[str]:
    return [code for code, *_ in flat(check(text).errors)]


def warning_codes(text: str) -> list[str]:
    report = check(text)
    assert report.errors == ()
    return [code for code, *_ in flat(report.warnings)]


def test_a_whole_appspec_is_read() -> None:
    report = check(
        head(
            "file_exists_behavior: OVERWRITE\n"
            "files:\n"
            "  - source: /app\n"
            "    destination: /opt/app\n"
            "permissions:\n"
            "  - object: /opt/app\n"
            '    mode: "0644"\n'
            "    type: [file]\n"
            "hooks:\n"
            "  AfterInstall:\n"
            "    - location: s/ok.sh\n"
            "      timeout: 30\n"
            "      runas: web\n"
            "    - location: s/two.sh\n"
            "      timeout: 20\n"
            "  ApplicationStart:\n"
        )
    )
    assert (report.ok, report.os, report.warnings) == (True, "linux", ())
    assert report.appspec is not None
    assert report.appspec.files == (FileMapping(source="/app", destination="/opt/app"),)
    assert report.appspec.file_exists_behavior == "OVERWRITE"
    assert report.appspec.hooks == {
        "AfterInstall": (Script(location="s/ok.sh", timeout=30, runas="web"), Script(location="s/two.sh", timeout=20)),
        "ApplicationStart": (),
    }


def test_every_mistake_is_reported_at_once_with_its_position() -> None:
    report = check(
        'version: "0.0"\n'
        "os: Linux\n"
        "files:\n"
        "  - source: nowhere\n"
        "    destination: /opt\n"
        "  - destination: /opt\n"
        "hooks:\n"
        "  afterinstall:\n"
        "    - location: s/ok.sh\n"
        "  BeforeInstall:\n"
        "    - location: s/missing.sh\n"
        "      timeout: 0\n"
    )
    assert flat(report.errors) == [
        ("version_invalid", 1, 10, "version"),
        ("os_invalid", 2, 5, "os"),
        ("source_not_found", 4, 13, "files[0].source"),
        ("files_source_missing", 6, 5, "files[1]"),
        ("hook_unknown_event", 8, 3, "hooks"),
        ("script_missing", 11, 17, "hooks.BeforeInstall[0].location"),
        ("timeout_invalid", 12, 16, "hooks.BeforeInstall[0].timeout"),
    ]
    assert report.appspec is None
    assert report.os is None
    hints = {f.code: f.hint for f in report.errors if isinstance(f, AppSpecFinding)}
    assert hints["version_invalid"] == "write `version: 0.0`, without quotes"
    assert hints["os_invalid"] == "did you mean 'linux'?"
    assert hints["hook_unknown_event"] == "did you mean 'AfterInstall'?"


# --- the document ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "appspec_empty"),
        (b"# only a comment\n", "appspec_empty"),
        (b"---\n~\n", "appspec_empty"),
        (b"- version: 0.0\n", "appspec_not_a_mapping"),
        (b"just text\n", "appspec_not_a_mapping"),
        (b"\xef\xbb\xbfversion: 0.0\nos: linux\n", "yaml_bom"),
        ("version: 0.0\n".encode("utf-16"), "yaml_encoding"),
        (b"version: 0.0\nos: caf\xe9\n", "yaml_encoding"),
        (b"version: 0.0\nos: linux\nfiles:\n\t- source: x\n", "yaml_syntax"),
        (b"version: 0.0\nos: [linux\n", "yaml_syntax"),
        (b"version: 0.0\nos: @linux\n", "yaml_syntax"),
        (b"version: 0.0\nos: linux\nfiles: *nobody\n", "yaml_alias"),
        (b"version: 0.0\x00\n", "yaml_encoding"),
        (b"[" * 100_000, "yaml_too_complex"),
        (b"version: 0.0\nos: linux\n" + b"#" * (1 << 20), "yaml_too_complex"),
    ],
)
def test_documents_that_cannot_be_read(content: bytes, code: str) -> None:
    assert error_codes(content) == [code]


def test_a_syntax_error_has_its_position() -> None:
    assert flat(check("version: 0.0\nos: lin: ux\n").errors) == [("yaml_syntax", 2, 8, "")]
    assert flat(check(b"version: 0.0\n# \xc3\xbc \xe9\n").errors) == [("yaml_encoding", 2, 5, "")]


@pytest.mark.parametrize(
    "text",
    [
        "version: 0\nos: linux\n",
        "version: .0\r\nos: linux\r\n",
        'version: 0.00\nos: "linux"\n',
        '{"version": 0.0, "os": "linux",}',
        "---\nversion: 0.0\nos: linux\n...\n",
        "  version: 0.0\n  os: linux\n",
        head("files:\nhooks:\npermissions:\n"),
        head("files: []\nhooks: {}\npermissions: []\n"),
    ],
)
def test_documents_that_the_agent_takes(text: str) -> None:
    assert warning_codes(text) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("os: linux\n", "version_invalid"),
        ("version: 1.0\nos: linux\n", "version_invalid"),
        ("version: latest\nos: linux\n", "version_invalid"),
        ("version: false\nos: linux\n", "version_invalid"),
        ("version: [0.0]\nos: linux\n", "version_invalid"),
        ("version: 0.0.0\nos: linux\n", "version_invalid"),
        ("version:\nos: linux\n", "version_invalid"),
        ("version: 0.0\n", "os_invalid"),
        ("version: 0.0\nos: Linux\n", "os_invalid"),
        ("version: 0.0\nos: ~\n", "os_invalid"),
        ("version: 0.0\nos: [linux]\n", "os_invalid"),
        (head("file_exists_behavior: overwrite\n"), "file_exists_behavior_invalid"),
        (head("file_exists_behavior: [RETAIN]\n"), "file_exists_behavior_invalid"),
    ],
)
def test_version_os_and_behavior(text: str, code: str) -> None:
    assert error_codes(text) == [code]


def test_an_appspec_for_ecs_is_recognised() -> None:
    (finding,) = check("version: 0.0\nResources: []\n").errors
    assert "ECS or Lambda" in str(finding)


def test_unknown_and_doubled_keys_are_warned_of() -> None:
    assert warning_codes(head("hook: {}\n")) == ["unknown_key"]
    assert warning_codes(head("os: linux\n")) == ["duplicate_key"]


def test_of_a_doubled_key_the_last_counts() -> None:
    assert error_codes(head("os: beos\n")) == ["os_invalid"]


# --- files -----------------------------------------------------------------------------------------------------------


def files(source: str, destination: str = "/opt/app") -> str:
    return head(f"files:\n  - source: {source}\n    destination: {destination}\n")


@pytest.mark.parametrize("source", ["app", "/app", "./app", "app/", "app/x.txt", "current", "current/x.txt"])
def test_sources_that_are_there(source: str) -> None:
    assert warning_codes(files(source)) == []


@pytest.mark.parametrize(
    "source", ["App", "app/*", "app\\x.txt", "app/x.txt/y", "nothing", "s/gone.sh/x", "app/x.txt/.."]
)
def test_sources_that_are_not_there(source: str) -> None:
    assert error_codes(files(source)) == ["source_not_found"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (head("files: app\n"), "files_type"),
        (head("files: {source: app}\n"), "files_type"),
        (head("files: [app]\n"), "files_entry_type"),
        (files("~"), "files_source_missing"),
        (files("app", "~"), "files_destination_missing"),
        (files("app", '""'), "destination_unusable"),
        (files("app", "[/opt]"), "files_value_type"),
        (files("../x"), "source_not_found"),
        (files("7"), "files_value_type"),
    ],
)
def test_files_that_the_agent_refuses(text: str, code: str) -> None:
    assert error_codes(text) == [code]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (files("../../x"), "source_outside"),
        (files("app", "opt"), "destination_relative"),
        (files("app", "/"), "destination_root"),
        (files("app", '"/opt/${APP}"'), "template_left"),
        (head("files: false\n"), "wrong_type_ignored"),
        (head("files:\n  - {source: app, destination: /o, mode: 7}\n"), "unknown_key"),
    ],
)
def test_files_that_look_wrong(text: str, code: str) -> None:
    assert warning_codes(text) == [code]


def two(first: tuple[str, str], second: tuple[str, str]) -> str:
    entries = "".join(f"  - source: {source}\n    destination: {place}\n" for source, place in (first, second))
    return head(f"files:\n{entries}")


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (("app", "/o"), ("app", "/o"), "app/x.txt and app/x.txt both go to /o/x.txt"),
        (("app", "/o"), ("app/x.txt", "/o//./"), "app/x.txt and app/x.txt both go to /o/x.txt"),
        (("app", "/o/x.txt"), ("app/x.txt", "/o"), "app/x.txt goes to /o/x.txt, which is a directory already"),
        (("app", "/o"), ("current", "/o"), "app/x.txt and app/x.txt both go to /o/x.txt"),  # a link that is followed
        (("app/x.txt", "/o"), ("app", "/o/x.txt"), "the directory app goes to /o/x.txt, where the file app/x.txt goes"),
    ],
)
def test_two_files_for_one_place(first: tuple[str, str], second: tuple[str, str], message: str) -> None:
    (finding,) = check(two(first, second)).errors
    assert (finding.line, finding.place, finding.message) == (6, "files[1]", message)


@pytest.mark.parametrize("second", [("app", "/p"), ("app/x.txt", "/o/sub"), ("current", "/p")])
def test_two_sources_for_one_folder_are_fine(second: tuple[str, str]) -> None:
    assert warning_codes(two(("app", "/o"), second)) == []


def test_conflicts_of_one_entry_are_not_told_by_the_thousand() -> None:
    many = Contents([Entry(f"app/{number}", "file") for number in range(1000)])
    text = two(("app", "/o"), ("app", "/o"))
    assert len(check_appspec(text.encode(), many, file="f").errors) == 3


# --- hooks -----------------------------------------------------------------------------------------------------------


def hook(location: str, event: str = "AfterInstall", more: str = "") -> str:
    return head(f"hooks:\n  {event}:\n    - location: {location}\n{more}")


@pytest.mark.parametrize("location", ["s/ok.sh", "s/link.sh", "'  s/ok.sh '", "./s//ok.sh", "s/../s/ok.sh"])
def test_scripts_that_are_there(location: str) -> None:
    assert warning_codes(hook(location)) == []


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("s/no.sh", "script_missing"),
        ("s/OK.sh", "script_missing"),
        ("s/ok.sh --now", "script_missing"),
        ("bash s/ok.sh", "script_missing"),
        ("s/gone.sh", "script_missing"),
        ("s/round.sh", "script_missing"),
        ("s", "location_is_directory"),
        ("{a: b}", "script_missing"),
        ("s/a b.sh", "location_not_shell_safe"),
        ("~", "hook_location_missing"),
    ],
)
def test_scripts_that_are_not_there(location: str, code: str) -> None:
    assert error_codes(hook(location)) == [code]


@pytest.mark.parametrize(
    ("location", "hint"),
    [
        ("s/ok.sh --now", "takes no arguments"),
        ("bash s/ok.sh", "takes no interpreter"),
        ("s/okk.sh", "did you mean 's/ok.sh'?"),
        ("q/zzz", None),
    ],
)
def test_a_missing_script_has_a_hint(location: str, hint: str | None) -> None:
    (finding,) = check(hook(location)).errors
    if hint is None:
        assert finding.hint is None
    else:
        assert hint in (finding.hint or "")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (head("hooks: [AfterInstall]\n"), "hooks_type"),
        (head("hooks: s/ok.sh\n"), "hooks_type"),
        (head("hooks:\n  AfterInstall: s/ok.sh\n"), "hook_scripts_type"),
        (head("hooks:\n  AfterInstall:\n    location: s/ok.sh\n"), "hook_scripts_type"),
        (head("hooks:\n  AfterInstall: [s/ok.sh]\n"), "hook_script_type"),
        (head("hooks:\n  AfterInstall: [~]\n"), "hook_script_type"),
        (head("hooks:\n  AfterInstall: [{timeout: 3}]\n"), "hook_location_missing"),
        (head("hooks:\n  AllowTraffic: []\n"), "hook_unknown_event"),
        (head("hooks:\n  on: []\n"), "hook_unknown_event"),
        (head("hooks:\n  7: []\n"), "hook_unknown_event"),
    ],
)
def test_hooks_of_the_wrong_shape(text: str, code: str) -> None:
    assert error_codes(text) == [code]


@pytest.mark.parametrize(
    ("timeout", "seconds", "warnings"),
    [
        ("1", 1, []),
        ("3600", 3600, []),
        ('"30"', 30, []),
        ("~", 3600, []),
        ("30s", 30, ["timeout_not_integer"]),
        ("1.5", 1, ["timeout_not_integer"]),
        ("10:00", 36000, ["timeout_not_integer", "timeout_over_3600"]),
        ("010", 8, ["timeout_not_integer"]),
        ("3601", 3601, ["timeout_over_3600"]),
        ("false", 3600, ["wrong_type_ignored"]),
    ],
)
def test_timeouts_that_the_agent_takes(timeout: str, seconds: int, warnings: list[str]) -> None:
    text = hook("s/ok.sh", more=f"      timeout: {timeout}\n")
    assert warning_codes(text) == warnings
    appspec = check(text).appspec
    assert appspec is not None
    assert appspec.hooks["AfterInstall"][0].timeout == seconds


@pytest.mark.parametrize(
    ("timeout", "code"),
    [
        ("0", "timeout_invalid"),
        ("-1", "timeout_invalid"),
        ("0.5", "timeout_invalid"),
        ("soon", "timeout_invalid"),
        ("true", "timeout_type"),
        (".inf", "timeout_type"),
        ("[3]", "timeout_type"),
    ],
)
def test_timeouts_that_the_agent_refuses(timeout: str, code: str) -> None:
    assert error_codes(hook("s/ok.sh", more=f"      timeout: {timeout}\n")) == [code]


def test_hooks_that_look_wrong() -> None:
    assert warning_codes(hook("s/no.sh", "Install")) == ["hook_never_runs"]
    assert warning_codes(hook("s/no.sh", "ApplicationStop")) == ["script_missing_for_next_deployment"]
    two = "    - location: s/two.sh\n"
    assert warning_codes(hook("s/ok.sh", more=two)) == []  # nobody has thought of times here: no noise
    assert warning_codes(hook("s/ok.sh", more=f"      timeout: 100\n{two}")) == ["timeout_sum_over_3600"]
    assert warning_codes(hook("../../s/ok.sh")) == ["location_outside"]
    assert warning_codes(hook("s/away.sh")) == ["location_outside"]
    assert warning_codes(hook("/s/ok.sh")) == ["location_leading_slash"]
    assert warning_codes(hook("s/ok.sh", more="      run_as: web\n")) == ["unknown_key"]


@pytest.mark.parametrize(
    ("content", "codes"),
    [
        (b"#!/bin/bash\r\necho\r\n", ["script_crlf"]),
        (b"#!/usr/bin/env bash\r\n", ["script_crlf"]),
        (b"#!/bin/sh\necho\r\n", []),
        (b"echo\r\n", []),
        (b"", []),
    ],
)
def test_the_first_line_of_a_script(content: bytes, codes: list[str]) -> None:
    report = check(hook("s/link.sh"), heads={"s/ok.sh": content})
    assert [code for code, *_ in flat(report.errors)] == codes


# --- permissions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("{mode: 644}", "permission_object_missing"),
        ('{object: " "}', "permission_object_missing"),
        ("text", "permission_entry_type"),
        ("{object: /o, type: file}", "permission_list_type"),
        ("{object: /o, type: [files]}", "permission_type_invalid"),
        ("{object: /o, mode: a+x}", "permission_mode_invalid"),
        ("{object: /o, mode: 0700}", "permission_mode_invalid"),  # octal for YAML, and 448 has an 8
        ('{object: /o, mode: "07555"}', "permission_mode_invalid"),
        ("{object: /o, mode: [755]}", "permission_mode_invalid"),
    ],
)
def test_permissions_that_the_agent_refuses(entry: str, code: str) -> None:
    assert error_codes(head(f"permissions: [{entry}]\n")) == [code]


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("acls: 7", "acls_type"),
        ("acls: {root: rw}", "acls_type"),
        ("acls: [~]", "acl_entry_type"),
        ("acls: [7]", "acl_entry_type"),
        ('acls: ["7"]', "acl_invalid"),
        ('acls: ["u:root=rw"]', "acl_invalid"),
        ('acls: ["u:web:9"]', "acl_invalid"),
        ('acls: ["d:u:web:rw:x"]', "acl_invalid"),
        ('acls: ["u::rw"]', "acl_base_entry"),
        ('acls: ["o:7"]', "acl_base_entry"),
        ("context: {}", "context_type_missing"),
        ("context: {type: t, range: 0}", "context_range_invalid"),
        ("context: {type: t, range: x1}", "context_range_invalid"),
        ("context: {type: t, range: s3-s1}", "context_range_invalid"),
        ('context: {type: t, range: "s0:c1024"}', "context_range_invalid"),
        ('context: {type: t, range: "s0:c2.c1"}', "context_range_invalid"),
        ('context: {type: t, range: "s0:c1,c1"}', "context_range_invalid"),
        ('context: {type: t, range: "s0:d"}', "context_range_invalid"),
    ],
)
def test_acls_and_contexts_that_the_agent_refuses(entry: str, code: str) -> None:
    assert error_codes(head(f"permissions:\n  - object: /o\n    {entry}\n")) == [code]


@pytest.mark.parametrize(
    "entry",
    [
        "acls: ~",
        "acls: []",
        'acls: ["u:web:rw", "d:group::7", "m::rw", "u:cron:", "g:web:rwxr"]',
        "context: ~",
        'context: {type: t, range: "s0-s16:c0.c5,c1023"}',
    ],
)
def test_acls_and_contexts_that_the_agent_takes(entry: str) -> None:
    text = head(f"permissions:\n  - object: /elsewhere\n    {entry}\n")
    assert warning_codes(text) == ["permission_matches_nothing"]


def test_permissions_that_are_no_list() -> None:
    assert error_codes(head("permissions: {object: /o}\n")) == ["permissions_type"]


def test_a_mode_without_quotes_is_read_as_octal_and_used_as_decimal() -> None:
    (warning,) = check(files("app", "/o") + "permissions: [{object: /o, mode: 0644}]\n").warnings
    assert "gets mode 0420" in warning.message
    assert warning_codes(files("app", "/o") + "permissions: [{object: /o, mode: 755}]\n") == []


# --- anything --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("NULL", None),
        ("nUll", None),
        ("Yes", True),
        ("OFF", False),
        ("y", "y"),
        ("0644", 420),
        ("0o10", "0o10"),
        ("08", "08"),
        ("0x1F", 31),
        ("0b11", 3),
        ("1_000", 1000),
        ("-7", -7),
        ("1.5", 1.5),
        (".", "."),
        ("1e3", "1e3"),
        ("1.0e+3", 1000.0),
        ("1:30", 5400),
        ("-1:30", -1800),
        ("-.INF", float("-inf")),
        ("0.0.0", "0.0.0"),
    ],
)
def test_plain_scalars_are_read_as_ruby_reads_them(text: str, value: Scalar) -> None:
    assert read_plain(text) == value
    assert type(read_plain(text)) is type(value)


words = st.sampled_from(
    [
        "version",
        "os",
        "linux",
        "files",
        "source",
        "hooks",
        "AfterInstall",
        "location",
        "timeout",
        "mode",
        "type",
        "object",
    ]
)
scalars = st.one_of(
    words, st.sampled_from(["0.0", "0", "~", "''", "[]", "{}", "0x", "._", "1:2", "+", "&a x", "*a", "!t x"])
)
nested = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(scalars, inner), max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{key} : {value}" for key, value in pairs) + "}"
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(values=st.lists(st.tuples(words, nested), max_size=5))
def test_no_document_makes_it_raise(values: list[tuple[str, str]]) -> None:
    text = "".join(f"{key}: {value}\n" for key, value in values)
    report = check(text)
    assert report.ok == (report.appspec is not None)
    assert all(finding.line >= 1 and finding.column >= 1 for finding in (*report.errors, *report.warnings))


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=60))
def test_no_bytes_make_it_raise(content: bytes) -> None:
    assert not check(content).ok
