# ruff: noqa: E501 -- a table of whole manifests and whole error lines: broken up, they could not be read
"""Manifests with values that can't be: each mistake with its position, and what to do about it."""

from pathlib import Path

import pytest
from small_manifest import app, mistakes_in, top

BROKEN = [
    pytest.param(
        app("timeout: 45"),
        [
            "5:14: applications.a.timeout: 45 is a number without a unit (write 45s or 45m)",
        ],
        id="duration number",
    ),
    pytest.param(
        app("timeout: 45 minutes"),
        [
            "5:14: applications.a.timeout: '45 minutes' is not a duration (durations look like 500ms, 90s, 45m, 2h or 1h30m)",
        ],
        id="duration text",
    ),
    pytest.param(
        app("timeout: 1:30"),
        [
            "5:14: applications.a.timeout: '1:30' is not a duration (write 1m30s or 1h30m)",
        ],
        id="sexagesimal",
    ),
    pytest.param(
        app("timeout: 0s"),
        [
            "5:14: applications.a.timeout: must be longer than 0s",
        ],
        id="zero timeout",
    ),
    pytest.param(
        app("skip_if_current: maybe"),
        [
            "5:22: applications.a.skip_if_current: must be true or false, not 'maybe'",
        ],
        id="bare bool",
    ),
    pytest.param(
        app('skip_if_current: "true"'),
        [
            "5:22: applications.a.skip_if_current: must be true or false, not 'true' (write it without quotes)",
        ],
        id="quoted bool",
    ),
    pytest.param(
        app("labels: {tier: on}"),
        [
            '5:20: applications.a.labels.tier: must be text, but YAML reads on as a boolean (put it in quotes: "on")',
        ],
        id="label bool",
    ),
    pytest.param(
        app("labels: {tier: 1}"),
        [
            '5:20: applications.a.labels.tier: must be text, but YAML reads 1 as a number (put it in quotes: "1")',
        ],
        id="label number",
    ),
    pytest.param(
        top("concurrency: {deployments: 010}"),
        [
            "1:28: concurrency.deployments: 010 is an unusual way to write a number (write it with the digits 0-9 only)",
        ],
        id="octal",
    ),
    pytest.param(
        top("concurrency: {deployments: 0}"),
        [
            "1:28: concurrency.deployments: must be at least 1",
        ],
        id="zero",
    ),
    pytest.param(
        top("concurrency: {uploads: 1.5}"),
        [
            "1:24: concurrency.uploads: must be a whole number, not '1.5'",
        ],
        id="float",
    ),
    pytest.param(
        top('concurrency: {uploads: "4"}'),
        [
            "1:24: concurrency.uploads: must be a whole number, not '4' (write it without quotes)",
        ],
        id="number as text",
    ),
    pytest.param(
        top("policy: {max_failures: 101%}"),
        [
            "1:24: policy.max_failures: not a number of failures (a count from 1, such as 3, or a share from 1% to 100%)",
        ],
        id="share",
    ),
    pytest.param(
        top("policy: {max_failures: 0}"),
        [
            "1:24: policy.max_failures: not a number of failures (a count from 1, such as 3, or a share from 1% to 100%)",
        ],
        id="share zero",
    ),
    pytest.param(
        top("policy: {on_failure: contine}"),
        [
            "1:22: policy.on_failure: 'contine' is not one of stop, continue (did you mean 'continue'?)",
        ],
        id="enum",
    ),
    pytest.param(
        app("file_exists_behavior: overwrite"),
        [
            "5:27: applications.a.file_exists_behavior: 'overwrite' is not one of DISALLOW, OVERWRITE, RETAIN (did you mean 'OVERWRITE'?)",
        ],
        id="enum case",
    ),
    pytest.param(
        app("auto_rollback: [DEPLOYMENT_FAILED]"),
        [
            "5:21: applications.a.auto_rollback[0]: 'DEPLOYMENT_FAILED' is not one of DEPLOYMENT_FAILURE, DEPLOYMENT_STOP_ON_ALARM, DEPLOYMENT_STOP_ON_REQUEST (did you mean 'DEPLOYMENT_FAILURE'?)",
        ],
        id="rollback event",
    ),
    pytest.param(
        app("auto_rollback: true"),
        [
            "5:20: applications.a.auto_rollback: on which events? (a list, such as [DEPLOYMENT_FAILURE], or false)",
        ],
        id="rollback true",
    ),
    pytest.param(
        app("region: Ireland"),
        [
            "5:13: applications.a.region: 'Ireland' is not a region (regions look like eu-west-1)",
        ],
        id="region",
    ),
    pytest.param(
        app("role_arn: deploy"),
        [
            "5:15: applications.a.role_arn: 'deploy' is not the ARN of a role (it looks like arn:aws:iam::123456789012:role/deploy)",
        ],
        id="role",
    ),
    pytest.param(
        app("alarms: {nmes: [a]}"),
        [
            "5:14: applications.a.alarms.nmes: unknown key 'nmes' (did you mean 'names'?)",
        ],
        id="alarms",
    ),
    pytest.param(
        app("alarms: {enabled: true}"),
        [
            "5:14: applications.a.alarms.enabled: no alarms are named (add names: […], or write alarms: false)",
        ],
        id="alarms empty",
    ),
    pytest.param(
        app("target_instances: {}"),
        [
            "5:23: applications.a.target_instances: names no instances (give tag_filters, ec2_tag_set or auto_scaling_groups)",
        ],
        id="target instances",
    ),
    pytest.param(
        app("target_instances: {tag_filters: [{key: a}], ec2_tag_set: [[{key: b}]]}"),
        [
            "5:49: applications.a.target_instances.ec2_tag_set: tag_filters and ec2_tag_set can't be used together",
        ],
        id="tags both",
    ),
    pytest.param(
        app("target_instances: {tag_filters: [{key: a, type: KEY_AND_VALUE}]}"),
        [
            "5:47: applications.a.target_instances.tag_filters[0].type: KEY_AND_VALUE needs a value",
        ],
        id="tag type",
    ),
    pytest.param(
        app("description: " + "d" * 201),
        [
            "5:18: applications.a.description: is longer than 200 characters",
        ],
        id="description",
    ),
    pytest.param(
        app("needs: b"),
        [
            "5:12: applications.a.needs: must be a list, not text (write [b])",
        ],
        id="needs text",
    ),
    pytest.param(
        top("state: gs://x/y"),
        [
            "1:8: state: gs:// can't hold the state (s3://bucket/prefix, or the path of a folder)",
        ],
        id="state",
    ),
    pytest.param(
        top('release: "a\\nb"'),
        [
            "1:10: release: holds line breaks or characters that can't be printed",
        ],
        id="release lines",
    ),
    pytest.param(
        top("gates: {g: {type: promethus, url: 'http://x', query: a}}"),
        [
            "1:19: gates.g.type: 'promethus' is not a type of gate (did you mean 'prometheus'?)",
        ],
        id="gate type",
    ),
    pytest.param(
        top("gates: {g: {url: 'http://x'}}"),
        [
            "1:12: gates.g: 'type' is missing (cloudwatch_alarm, prometheus, http, command or approval)",
        ],
        id="gate no type",
    ),
    pytest.param(
        top("gates: {g: {type: prometheus, url: 'http://x', qery: a}}"),
        [
            "1:9: gates.g: 'query' is missing",
            "1:48: gates.g.qery: unknown key 'qery' (did you mean 'query'?)",
        ],
        id="gate key",
    ),
    pytest.param(
        top("gates: {g: {type: http, url: x}}"),
        [
            "1:30: gates.g.url: must begin with http:// or https://",
        ],
        id="gate url",
    ),
    pytest.param(
        top("gates: {g: x}"),
        [
            "1:12: gates.g: must be a mapping (key: value), not text",
        ],
        id="gate text",
    ),
    pytest.param(
        top(
            "environments: {e: {region: eu-west-1, freeze: [{rrule: every friday, start: 15:00, end: '24:00', tz: Berlin}]}}"
        ),
        [
            "1:56: environments.e.freeze[0].rrule: 'every friday' is not a recurrence rule (such as \"FREQ=WEEKLY;BYDAY=FR\" (RFC 5545))",
            "1:89: environments.e.freeze[0].end: '24:00' is not a time of day (write HH:MM, from 00:00 to 23:59)",
            "1:102: environments.e.freeze[0].tz: 'Berlin' is not a time zone (use a name such as Europe/Berlin or UTC)",
        ],
        id="freeze rule",
    ),
    pytest.param(
        top("environments: {e: {region: eu-west-1, promote_from: e}}"),
        [
            "1:53: environments.e.promote_from: an environment can't be promoted from itself",
        ],
        id="promote self",
    ),
    pytest.param(
        top("environments: {e: {regoin: eu-west-1}}"),
        [
            "1:20: environments.e.regoin: unknown key 'regoin' (did you mean 'region'?)",
        ],
        id="env key",
    ),
    pytest.param(
        top("policy: {max_failures: '25 %'}"),
        [
            "1:24: policy.max_failures: not a number of failures (a count from 1, such as 3, or a share from 1% to 100%)",
        ],
        id="share of text",
    ),
    pytest.param(
        app("timeout: 5d"),
        [
            "5:14: applications.a.timeout: '5d' is not a duration (durations look like 500ms, 90s, 45m, 2h or 1h30m)",
        ],
        id="timeout unit",
    ),
    pytest.param(
        top("concurrency: {per_region: 0x10}"),
        [
            "1:27: concurrency.per_region: 0x10 is an unusual way to write a number (write it with the digits 0-9 only)",
        ],
        id="hex",
    ),
    pytest.param(
        top("concurrency: {pools: {db: 0}}"),
        [
            "1:27: concurrency.pools.db: must be at least 1",
        ],
        id="pool size",
    ),
    pytest.param(
        app("hooks: {before: [{comand: [a]}]}"),
        [
            "5:22: applications.a.hooks.before[0]: 'command' is missing",
            "5:23: applications.a.hooks.before[0].comand: unknown key 'comand' (did you mean 'command'?)",
        ],
        id="hook",
    ),
    pytest.param(
        top("gates: {g: {type: http, url: 'http://x', status: [20]}}"),
        [
            "1:51: gates.g.status[0]: must be at least 100",
        ],
        id="gate status",
    ),
    pytest.param(
        top("gates: {g: {type: cloudwatch_alarm, names: []}}"),
        [
            "1:44: gates.g.names: is empty",
        ],
        id="gate names",
    ),
    pytest.param(
        top("gates: {g: {type: prometheus, url: 'http://x', query: a, interval: 15}}"),
        [
            "1:68: gates.g.interval: 15 is a number without a unit (write 15s or 15m)",
        ],
        id="gate interval",
    ),
    pytest.param(
        top("gates: {g: {type: command, command: make check}}"),
        [
            "1:37: gates.g.command: must be a list, not text (write [make, check])",
        ],
        id="gate command",
    ),
    pytest.param(
        top("gates: {g: {type: approval, interval: 5s}}"),
        [
            "1:29: gates.g.interval: unknown key 'interval' (there are message, timeout, type)",
        ],
        id="approval",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {github: {repository: '', commit: abc}}\n    deployment_groups: [x]\n",
        [
            "3:37: applications.a.revision.github.repository: '' is not a repository (write owner/name, without https:// and github.com)",
        ],
        id="empty description of a repository",
    ),
    pytest.param(
        app("deployment_config: Code Deploy"),
        [
            "5:24: applications.a.deployment_config: 'Code Deploy' is not a name (names are 1-100 of letters, digits and . _ + = , @ -)",
        ],
        id="deployment config",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {s3: {bucket: bbb, key: a, bundle_type: rar}}\n    deployment_groups: [x]\n",
        [
            "3:55: applications.a.revision.s3.bundle_type: 'rar' is not one of tgz, tar, zip, YAML, JSON (did you mean 'tar'?)",
        ],
        id="bundle type",
    ),
    pytest.param(
        "applications:\n  a:\n    revision: {source: [a]}\n    deployment_groups: [x]\n",
        [
            "3:24: applications.a.revision.source: must be text, not a list",
        ],
        id="source list",
    ),
    pytest.param(
        top("vars: {'a b': c}"),
        [
            "1:8: vars.a b: 'a b' is not a variable's name (letters, digits, _ and -)",
        ],
        id="variable name",
    ),
    pytest.param(
        top("vars: {a: }"),
        [
            "1:11: vars.a: has no value (give it one, or take it away)",
        ],
        id="variable without value",
    ),
    pytest.param(
        top("vars: [a]"),
        [
            "1:7: vars: must be a mapping (key: value), not a list",
        ],
        id="vars list",
    ),
    pytest.param(
        top("environments: {e: {region: eu-west-1, freeze: [{rule: x}]}}"),
        [
            "1:48: environments.e.freeze[0]: 'rrule' is missing",
            "1:48: environments.e.freeze[0]: 'start' is missing",
            "1:48: environments.e.freeze[0]: 'end' is missing",
            "1:49: environments.e.freeze[0].rule: unknown key 'rule' (did you mean 'rrule'?)",
        ],
        id="freeze key",
    ),
    pytest.param(
        top("environments: [staging]"),
        [
            "1:15: environments: must be a mapping (key: value), not a list",
        ],
        id="environments list",
    ),
    pytest.param(
        top("environments: {'a b': {region: eu-west-1}}"),
        [
            "1:16: environments.a b: 'a b' is not a name (names are 1-100 of letters, digits and . _ + = , @ -)",
        ],
        id="environment name",
    ),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_every_mistake_has_its_position_and_its_words(
    text: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert mistakes_in(text) == expected
