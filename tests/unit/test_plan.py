"""The order of a plan, its cycles, and targets as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import target

from orchestrator.core.errors import UsageError
from orchestrator.core.model import (
    AppSpecRevision,
    BundleSource,
    DeploymentSettings,
    GitHubRevision,
    Location,
    S3Revision,
    Target,
)
from orchestrator.core.plan import order, target_from_dict, target_to_dict

# --- order ----------------------------------------------------------------------------------------------------------


@st.composite
def graphs(draw: st.DrawFn) -> list[Target]:
    """Acyclic by a hidden order, and given in another."""
    names = [f"a{number}/g" for number in range(draw(st.integers(0, 12)))]
    targets = []
    for number, name in enumerate(names):
        before = draw(st.lists(st.sampled_from(names[:number]), unique=True)) if number else []
        cut = draw(st.integers(0, len(before)))
        targets.append(target(name, needs=before[:cut], after=before[cut:]))
    return draw(st.permutations(targets))


@given(graphs())
def test_everything_stands_behind_what_it_waits_for(targets: list[Target]) -> None:
    ordered = order(targets)
    assert sorted(each.id for each in ordered) == sorted(each.id for each in targets)
    place = {each.id: number for number, each in enumerate(ordered)}
    assert all(place[name] < place[each.id] for each in ordered for name in (*each.needs, *each.after))
    assert order(ordered) == ordered, "what is in order stays as it is"


def test_without_edges_the_order_is_that_of_the_manifest() -> None:
    targets = [target(f"{name}/g") for name in "zmaq"]
    assert list(order(targets)) == targets
    last_first = [target("web/g", needs=["db/g"]), target("x/g"), target("db/g"), target("y/g")]
    assert [each.id for each in order(last_first)] == ["x/g", "db/g", "web/g", "y/g"]


def test_edges_to_what_was_not_selected_are_left_out() -> None:
    targets = [target("b/g", needs=["gone/g"], after=["gone/h"]), target("a/g")]
    assert list(order(targets)) == targets


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ([target("a/g", needs=["a/g"])], "a/g needs a/g"),
        ([target("a/g", needs=["b/g"]), target("b/g", after=["a/g"])], "a/g needs b/g, b/g comes after a/g"),
        (
            [
                target("w/g", needs=["a/g"]),  # what only waits for the cycle is no part of it
                target("a/g", needs=["b/g"]),
                target("b/g", needs=["c/g"]),
                target("c/g", after=["a/g"]),
                target("free/g"),
            ],
            "a/g needs b/g, b/g needs c/g, c/g comes after a/g",
        ),
    ],
)
def test_a_cycle_is_named_edge_by_edge(targets: list[Target], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        order(targets)
    assert raised.value.message == f"these wait for each other: {said}"


# --- a target as JSON -----------------------------------------------------------------------------------------------

_text = st.text(min_size=1, max_size=12)
_maybe = st.none() | _text
_types = st.sampled_from(["tgz", "tar", "zip"])
_objects = st.dictionaries(_text, st.booleans() | _text | st.lists(_text, max_size=2), max_size=2)
_sources = st.one_of(
    st.builds(
        BundleSource,
        path=_text.map(lambda name: Path("/src") / name.replace("\0", "")),
        bucket=_text,
        prefix=_text,
        format=st.none() | _types,
        ignore=st.lists(_text, max_size=3).map(tuple),
        key=_maybe,
    ),
    st.builds(S3Revision, bucket=_text, key=_text, bundle_type=_types, version=_maybe, etag=_maybe),
    st.builds(GitHubRevision, repository=_text, commit_id=_text),
    st.builds(AppSpecRevision, content=_text, sha256=_text),
)
_settings = st.builds(
    DeploymentSettings,
    deployment_config=_maybe,
    description=_text,
    auto_rollback=st.none() | st.lists(_text, max_size=3).map(tuple),
    alarms=st.none() | _objects,
    file_exists_behavior=_maybe,
    ignore_application_stop_failures=st.none() | st.booleans(),
    update_outdated_instances_only=st.none() | st.booleans(),
    target_instances=st.none() | _objects,
)
_targets = st.builds(
    Target,
    id=_text,
    application=_text,
    deployment_group=_text,
    application_name=_text,
    deployment_group_name=_text,
    location=st.builds(Location, region=_text, role_arn=_maybe),
    source=_sources,
    settings=_settings,
    needs=st.lists(_text, max_size=3).map(tuple),
    after=st.lists(_text, max_size=3).map(tuple),
    labels=st.dictionaries(_text, _text, max_size=3),
    pool=_maybe,
    timeout=st.none() | st.floats(0, 1e6),
    skip_if_current=st.booleans(),
)


@given(_targets)
def test_a_target_survives_its_journal(before: Target) -> None:
    data: dict[str, Any] = json.loads(json.dumps(target_to_dict(before)))
    assert target_from_dict(data) == before


@given(_targets)
def test_fields_that_a_newer_version_adds_are_ignored(before: Target) -> None:
    assert target_from_dict({**target_to_dict(before), "moon_phase": "waxing"}) == before
