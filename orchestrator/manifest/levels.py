"""The manifest for one environment: templates expanded, validated, as levels of settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from orchestrator.manifest.documents import Document
from orchestrator.manifest.models import Manifest
from orchestrator.manifest.nodes import Map, Node, Place, Plain, child, descend
from orchestrator.manifest.notifications import expanded
from orchestrator.manifest.target_models import Settings
from orchestrator.manifest.templates import Check, Context, evaluate
from orchestrator.manifest.validation import report

SETTINGS = frozenset(Settings.model_fields)
KEY_NAMES = {"digest": "${digest}", "format": "${format}"}
LATER = {"revision", "deployment_groups"}
"""What of an application isn't expanded with the application's names alone."""

MAX_ATTEMPTS = 5
"""Leaving out a wrong part makes its owner wrong at most so often: setting, revision, application, applications."""

SAMPLES = {"application": "application", "deployment_group": "group"}
"""Gates are checked with these; what they are really about is known when one runs."""

Names = Mapping[str, str]


@dataclass(slots=True, eq=False)
class Level:
    """The settings that one place gives: the defaults, an application or a group."""

    node: Node | None
    place: Place
    values: dict[str, object] = field(default_factory=dict)
    """What is set here, validated; names of `Settings`."""
    deferred: dict[str, Node] = field(default_factory=dict)
    """What depends on the target, not expanded yet."""
    inherits: bool = False
    """Whether these are the defaults."""

    def for_target(self, context: Context, names: Names) -> Level:
        """The level for one target, nothing deferred any more."""
        if not self.deferred or self.node is None:
            return self
        data = {key: evaluate(node, (*self.place, key), context, names) for key, node in self.deferred.items()}
        try:
            late = set_values(Settings.model_validate(data))
        except ValidationError as error:
            report(error, Settings, self.node, self.place, context.problems)
            late = {}
        return Level(self.node, self.place, {**self.values, **late}, inherits=self.inherits)


def set_values(settings: Settings) -> dict[str, object]:
    """The settings that were given, leaving out what has its default."""
    values = settings.__dict__
    return {name: values[name] for name in settings.model_fields_set if name in SETTINGS}


class Environments:
    """Validates a document for one environment."""

    def __init__(self, document: Document, context: Context) -> None:
        self._root = document.root
        self._context = context
        self._general: Names = {"environment": context.environment}
        self.release = ""

    def validate(self, default_release: str) -> Manifest | None:
        """The validated manifest, without what depends on a target (see `deferred`).

        What is wrong is recorded and left out, so that the rest is looked at too; None when too little is left.
        """
        self.release = default_release
        if (name := self._root.items.get("release")) is not None:
            value = evaluate(name, ("release",), self._context, self._general)
            self.release = value if isinstance(value, str) else default_release
        data: Plain = {key: self._section(key, node) for key, node in self._root.items.items()}
        for attempt in range(MAX_ATTEMPTS):
            try:
                return Manifest.model_validate(data)
            except ValidationError as error:
                if attempt == 0:
                    report(error, Manifest, self._root, (), self._context.problems)
                data = pruned(data, error)
        return None

    def names(self, application: str, group: str | None = None) -> Names:
        names = {**self._general, "release": self.release, "application": application}
        if group is not None:
            names["deployment_group"] = group
        return names

    # --- sections ----------------------------------------------------------------------------------------------------

    def _section(self, key: str, node: Node) -> Plain:  # noqa: PLR0911 - a table: one case a section
        place = (key,)
        if not node.dynamic or key == "include":
            return node.value
        match key, node:
            case "vars", _:
                everywhere = declared(self._root, *names_of_environments(self._root))
                self._variables(node, place, everywhere)
                return node.value
            case "environments", Map():
                return {name: self._environment(name, item, (*place, name)) for name, item in node.items.items()}
            case "applications", Map():
                return {name: self._application(name, item, (*place, name)) for name, item in node.items.items()}
            case "notifications", Map():
                return self._notifications(node)
            case "defaults", Map():
                late = deferred(node, self._context, {"application", "deployment_group"})
                return self._mapping(node, place, {**self._general, "release": self.release}, leave_out=late)
            case _:
                samples = {**SAMPLES, "release": self.release} if key == "gates" else {}
                return evaluate(node, place, self._context, {**self._general, **samples})

    def _notifications(self, node: Map) -> Plain:
        """Without those for other environments."""
        known = declared(self._root, *names_of_environments(self._root))
        names = {**self._general, "release": self.release}
        found = {
            name: expanded(item, ("notifications", name), self._context, names, known)
            for name, item in node.items.items()
        }
        return {name: value for name, value in found.items() if value is not None or not node.items[name].dynamic}

    def _mapping(self, node: Map, place: Place, names: Names, leave_out: Mapping[str, Node]) -> dict[str, Plain]:
        return {
            key: evaluate(item, (*place, key), self._context, names)
            for key, item in node.items.items()
            if key not in leave_out
        }

    def _variables(self, node: Node, place: Place, known: Collection[str]) -> None:
        """Only the variables that are used get a value; the others are looked at."""
        check = Check(self._context, self._general, known)
        for name, item in node.items.items() if isinstance(node, Map) else ():
            check.node(item, (*place, name))

    def _environment(self, name: str, node: Node, place: Place) -> Plain:
        if not isinstance(node, Map) or not node.dynamic:
            return node.value
        known = declared(self._root, name)
        if (variables := node.items.get("vars")) is not None:
            self._variables(variables, (*place, "vars"), known)
        data: dict[str, Plain] = {}
        for key, item in node.items.items():
            if key == "vars" or not item.dynamic:
                data[key] = item.value
            elif name == self._context.environment:
                data[key] = evaluate(item, (*place, key), self._context, self._general)
            else:
                # Its values may exist only where that environment is deployed to.
                Check(self._context, self._general, known).node(item, (*place, key))
        return data

    def _application(self, name: str, node: Node, place: Place) -> Plain:
        if not isinstance(node, Map) or not node.dynamic:
            return node.value
        names = self.names(name)
        data = self._mapping(
            node,
            place,
            names,
            leave_out={**deferred(node, self._context, {"deployment_group"}), **dict.fromkeys(LATER, node)},
        )
        for key in LATER & node.items.keys():
            item = node.items[key]
            if key == "revision" and isinstance(item, Map):
                data[key] = self._revision(item, (*place, key), names)
            elif isinstance(item, Map):
                data[key] = {
                    group: evaluate(settings, (*place, key, group), self._context, self.names(name, group))
                    for group, settings in item.items.items()
                }
            else:
                data[key] = evaluate(item, (*place, key), self._context, names)
        return data

    def _revision(self, node: Map, place: Place, names: Names) -> Plain:
        return {
            key: evaluate(item, (*place, key), self._context, {**names, **KEY_NAMES} if key == "key" else names)
            for key, item in node.items.items()
        }


def pruned(data: Plain, error: ValidationError) -> Plain:
    """The data without what the errors are about."""
    for details in error.errors(include_url=False, include_input=False, include_context=False):
        location = details["loc"][:-1] if details["type"] == "missing" else details["loc"]
        data = without(data, location)
    return data


def without(data: Plain, location: tuple[int | str, ...]) -> Plain:
    """A copy of the data without what a location leads to; of a list without the whole list, for its indexes' sake."""
    if not isinstance(data, dict):
        return data
    # pydantic's locations hold tags that are no keys.
    steps = [(index, part) for index, part in enumerate(location) if isinstance(part, str) and part in data]
    if not steps:
        return data
    index, key = steps[0]
    below = data[key]
    rest = location[index + 1 :]
    if isinstance(below, dict) and any(part in below for part in rest):
        return {**data, key: without(below, rest)}
    return {name: value for name, value in data.items() if name != key}


def names_of_environments(root: Map) -> tuple[str, ...]:
    environments = root.items.get("environments")
    return tuple(environments.items) if isinstance(environments, Map) else ()


def declared(root: Map, *environments: str) -> set[str]:
    """The names of the variables that the manifest and these environments declare."""
    places: list[Place] = [("vars",), *(("environments", name, "vars") for name in environments)]
    nodes = [descend(root, place) for place in places]
    return {name for node in nodes if isinstance(node, Map) for name in node.items}


def deferred(node: Node | None, context: Context, names: set[str]) -> dict[str, Node]:
    """The settings of a mapping that refer to one of these names."""
    if not isinstance(node, Map) or not node.dynamic:
        return {}
    return {
        key: item
        for key, item in node.items.items()
        if item.dynamic and key in SETTINGS and not names.isdisjoint(context.templates.names(item))
    }


def level(node: Node | None, place: Place, settings: Settings | None) -> Level:
    """A level in which nothing depends on the target."""
    return Level(node, place, {} if settings is None else set_values(settings))


def group_node(application: Node | None, group: str) -> Node | None:
    """The settings of a group; None where the groups are a list of names."""
    return child(child(application, "deployment_groups"), group)
