"""Which targets a run is about, and what stays of the order between them."""

import pytest

from orchestrator.core.errors import UsageError
from orchestrator.core.model import GitHubRevision, Location, Target
from orchestrator.core.selection import select

SOURCE = GitHubRevision(repository="acme/web", commit_id="abc")
LOCATION = Location(region="eu-west-1")


def target(
    name: str, *, needs: tuple[str, ...] = (), after: tuple[str, ...] = (), labels: dict[str, str] | None = None
) -> Target:
    application, group = name.split("/")
    return Target(
        id=name,
        application=application,
        deployment_group=group,
        application_name=application,
        deployment_group_name=group,
        location=LOCATION,
        source=SOURCE,
        needs=needs,
        after=after,
        labels=labels or {},
    )


SHOP = (
    target("shop-db/primary", labels={"tier": "data"}),
    target("shop-api/canary", needs=("shop-db/primary",), labels={"tier": "backend", "kind": "small"}),
    target("shop-api/fleet", needs=("shop-db/primary", "shop-api/canary"), labels={"tier": "backend"}),
    target("shop-web/fleet", needs=("shop-api/fleet",), after=("shop-db/primary",), labels={"tier": "front"}),
    target("jobs/canary", after=("shop-web/fleet",)),
)


def ids(chosen: tuple[Target, ...]) -> list[str]:
    return [one.id for one in chosen]


@pytest.mark.parametrize(
    ("expressions", "expected"),
    [
        ([], ["shop-db/primary", "shop-api/canary", "shop-api/fleet", "shop-web/fleet", "jobs/canary"]),
        (["shop-api"], ["shop-api/canary", "shop-api/fleet"]),
        (["shop-api/fleet"], ["shop-api/fleet"]),
        (["shop-*"], ["shop-db/primary", "shop-api/canary", "shop-api/fleet", "shop-web/fleet"]),
        (["*/canary"], ["shop-api/canary", "jobs/canary"]),
        (["tier=backend"], ["shop-api/canary", "shop-api/fleet"]),
        (["tier=b*"], ["shop-api/canary", "shop-api/fleet"]),
        (["tier=backend,*/canary"], ["shop-api/canary"]),
        ([" tier=backend , kind=small "], ["shop-api/canary"]),
        (["jobs", "shop-db"], ["shop-db/primary", "jobs/canary"]),
        (["shop-?b"], ["shop-db/primary"]),
    ],
)
def test_expressions(expressions: list[str], expected: list[str]) -> None:
    assert ids(select(SHOP, select=expressions)) == expected


def test_a_name_with_comma_or_equals_sign_is_that_name() -> None:
    odd = (target("a,b/x"), target("a=b/x"), target("a/x"))
    assert ids(select(odd, select=["a,b"])) == ["a,b/x"]
    assert ids(select(odd, select=["a=b"])) == ["a=b/x"]


def test_needs_and_dependents_are_included_transitively() -> None:
    assert ids(select(SHOP, select=["shop-api/fleet"], include_needs=True)) == [
        "shop-db/primary",
        "shop-api/canary",
        "shop-api/fleet",
    ]
    assert ids(select(SHOP, select=["shop-api/canary"], include_dependents=True)) == [
        "shop-api/canary",
        "shop-api/fleet",
        "shop-web/fleet",
    ]
    both = select(SHOP, select=["shop-web"], include_needs=True, include_dependents=True)
    assert ids(both) == ["shop-db/primary", "shop-api/canary", "shop-api/fleet", "shop-web/fleet"]


def test_exclude_is_stronger_than_included_needs() -> None:
    chosen = select(SHOP, select=["shop-web"], include_needs=True, exclude=["shop-db", "*/canary"])
    assert ids(chosen) == ["shop-api/fleet", "shop-web/fleet"]
    assert chosen[0].needs == ()
    assert chosen[1].needs == ("shop-api/fleet",)
    assert chosen[1].after == ()


def test_needs_through_an_unselected_target_stay_needs() -> None:
    chosen = select(SHOP, select=["shop-web", "shop-db"])
    assert chosen[1].needs == ("shop-db/primary",)
    assert chosen[1].after == ()  # it needs it, which says more than that it comes after it


def test_an_after_on_the_way_makes_the_order_an_after() -> None:
    chosen = select(SHOP, select=["jobs", "shop-db"])
    assert chosen[1].needs == ()
    assert chosen[1].after == ("shop-db/primary",)


def test_untouched_targets_are_the_same_objects() -> None:
    assert select(SHOP) == SHOP
    assert select(SHOP, select=["shop-db"])[0] is SHOP[0]


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"select": ["shop-apu"]}, "--select 'shop-apu': nothing matches 'shop-apu'", "did you mean 'shop-api'?"),
        ({"select": ["shop-api/flet"]}, "nothing matches 'shop-api/flet'", "did you mean 'shop-api/fleet'?"),
        ({"select": ["tier=backnd"]}, "nothing matches 'tier=backnd'", "did you mean 'tier=backend'?"),
        ({"select": ["x*"]}, "nothing matches 'x*'", "a glob or label=value"),
        ({"exclude": ["shop-wep"]}, "--exclude 'shop-wep': nothing matches", "did you mean 'shop-web'?"),
        ({"select": ["jobs,"]}, "an empty name", "a glob or label=value"),
        ({"select": [""]}, "an empty name", "a glob or label=value"),
        ({"select": ["jobs,shop-db"]}, "the selection is empty", "must all match one target"),
        ({"select": ["jobs"], "exclude": ["*"]}, "the selection is empty", "take away an --exclude"),
    ],
)
def test_mistakes(options: dict[str, list[str]], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        select(SHOP, select=options.get("select", ()), exclude=options.get("exclude", ()))
    assert message in caught.value.message
    assert caught.value.hint is not None
    assert hint in caught.value.hint


def test_no_targets_at_all() -> None:
    with pytest.raises(UsageError, match="the selection is empty"):
        select(())


def test_ten_thousand_targets_in_a_chain_and_a_fan() -> None:
    chain = [target(f"a{n}/g", needs=(f"a{n - 1}/g",) if n else ()) for n in range(9_000)]
    fan = [target(f"b{n}/g", needs=("a8999/g",)) for n in range(1_000)]
    chosen = select([*chain, *fan], select=["a0", "b*"])
    assert len(chosen) == 1_001
    assert all(one.needs == ("a0/g",) for one in chosen[1:])
