"""`${…}` in values: what it refers to, and what that is."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.core.errors import UsageError
from orchestrator.manifest.fields import Expanded
from orchestrator.manifest.git import GitFacts
from orchestrator.manifest.nodes import Map, Node, Place, Plain, Scalar, Sequence
from orchestrator.manifest.problems import Problems, did_you_mean

PIECE = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
GIT_FACTS = ("sha", "branch")
OF_TARGETS = ("application", "deployment_group", "release")
OF_KEYS = ("digest", "format")
NAMESPACES = "${vars.…}, ${env.…}, ${git.sha}, ${git.branch}, ${environment}, ${application} and ${deployment_group}"


class TemplateError(Exception):
    """Why a value can't be expanded; without a message when that is reported elsewhere already."""

    def __init__(self, message: str | None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Reference:
    """One `${name}` or `${name:-default}`."""

    name: str
    default: str | None = None


Piece = str | Reference


class Templates:
    """Parses each text once."""

    def __init__(self) -> None:
        self._parsed: dict[str, tuple[Piece, ...]] = {}
        self._names: dict[int, tuple[Node, frozenset[str]]] = {}

    def pieces(self, text: str) -> tuple[Piece, ...]:
        """Raises `TemplateError` for a text that isn't a template."""
        found = self._parsed.get(text)
        if found is None:
            found = self._parsed[text] = tuple(parse(text))
        return found

    def names(self, node: Node) -> frozenset[str]:
        """What the templates below a node refer to; those that can't be parsed refer to nothing."""
        if not node.dynamic:
            return frozenset()
        known = self._names.get(id(node))
        if known is None:
            # The node is kept with its names: its id stays unique only as long as it lives.
            known = self._names[id(node)] = (node, self._collect(node))
        return known[1]

    def _collect(self, node: Node) -> frozenset[str]:
        match node:
            case Map():
                return frozenset().union(*(self.names(item) for item in node.items.values()))
            case Sequence():
                return frozenset().union(*(self.names(item) for item in node.items))
            case Scalar():
                try:
                    pieces = self.pieces(node.text)
                except TemplateError:
                    return frozenset()
                return frozenset(piece.name for piece in pieces if isinstance(piece, Reference))


def parse(text: str) -> Iterable[Piece]:
    end = 0
    for match in PIECE.finditer(text):
        if match.start() > end:
            yield text[end : match.start()]
        end = match.end()
        if match[0] == "$${":
            yield "${"
        elif match[1] is None:
            raise TemplateError(
                f"the ${{ in {text!r} is not closed, or holds another one", "a literal ${ is written $${"
            )
        else:
            yield reference(match[1])
    if end < len(text):
        yield text[end:]


def reference(content: str) -> Reference:
    name, separator, default = content.partition(":-")
    name = name.strip()
    if not separator:
        return Reference(name)
    if not name.startswith("env."):
        raise TemplateError(f"${{{content}}}: only ${{env.…}} can have a default")
    return Reference(name, default)


@dataclass(slots=True)
class Context:
    """What templates are expanded with in one environment. One owner: the load that made it."""

    templates: Templates
    problems: Problems
    variables: Mapping[str, tuple[Node, Place]]
    """The nodes of the variables that hold here."""
    overrides: Mapping[str, str]
    """Those of `--var`: their values are as they are."""
    env: Mapping[str, str]
    git: GitFacts
    environment: str
    values: dict[str, str] = field(default_factory=dict)
    evaluating: list[str] = field(default_factory=list)

    def expand(self, node: Scalar, place: Place, names: Mapping[str, str]) -> str | None:
        """The text of a scalar, expanded; None when it can't be, which is reported."""
        try:
            return self.text(node.text, names)
        except TemplateError as error:
            if error.message is not None:
                self.problems.add(node, place, error.message, error.hint)
            self.problems.mark_broken(node)
            return None

    def text(self, text: str, names: Mapping[str, str]) -> str:
        pieces = self.templates.pieces(text)
        return "".join([piece if isinstance(piece, str) else self._value(piece, names) for piece in pieces])

    def _value(self, wanted: Reference, names: Mapping[str, str]) -> str:
        name = wanted.name
        if name in names:
            return names[name]
        namespace, dot, rest = name.partition(".")
        lookup: Mapping[str, Callable[[], str]] = {
            "vars": lambda: self._variable(rest),
            "env": lambda: self._env(rest, wanted.default),
            "git": lambda: self._git(rest),
        }
        if dot and namespace in lookup:
            return lookup[namespace]()
        raise unknown(name, names)

    def _env(self, name: str, default: str | None) -> str:
        if not ENV_NAME.match(name):
            raise TemplateError(f"{name!r} is not the name of an environment variable")
        value = self.env.get(name)
        if default is not None:
            return value or default
        if value is None:
            raise TemplateError(
                f"the environment variable {name} is not set", f"set it, or give a default: ${{env.{name}:-…}}"
            )
        return value

    def _git(self, fact: str) -> str:
        if fact not in GIT_FACTS:
            raise TemplateError(f"${{git.{fact}}} is unknown", did_you_mean(fact, GIT_FACTS) or "git.sha or git.branch")
        key = f"git.{fact}"
        if key not in self.values:
            try:
                self.values[key] = self.git.sha() if fact == "sha" else self.git.branch()
            except UsageError as error:
                raise TemplateError(f"${{{key}}}: {error.message}", error.hint) from None
        return self.values[key]

    def _variable(self, name: str) -> str:
        if name in self.overrides:
            return self.overrides[name]
        key = f"vars.{name}"
        if key in self.values:
            return self.values[key]
        if name not in self.variables:
            raise unknown_variable(name, self.variables)
        if name in self.evaluating:
            around = [*self.evaluating[self.evaluating.index(name) :], name]
            raise TemplateError("refers to itself: " + " → ".join(f"vars.{one}" for one in around))
        node, place = self.variables[name]
        if not isinstance(node, Scalar) or node.value is None or self.problems.is_broken(node):
            raise TemplateError(None)
        self.evaluating.append(name)
        value = self.expand(node, place, {"environment": self.environment})
        self.evaluating.pop()
        if value is None:
            raise TemplateError(None)
        self.values[key] = value
        return value


def unknown_variable(name: str, known: Iterable[str]) -> TemplateError:
    hint = did_you_mean(name, known) or "declare it under vars"
    return TemplateError(f"there is no variable {name!r}", hint)


def unknown(name: str, names: Mapping[str, str]) -> TemplateError:
    if name in OF_TARGETS:
        where = "of a group" if name == "deployment_group" else "of applications and in defaults"
        return TemplateError(f"${{{name}}} is known only in settings {where}")
    if name in OF_KEYS:
        return TemplateError(f"${{{name}}} is known only in the key of a revision")
    known = (*names, "vars", "env", "git", "environment", "git.sha", "git.branch")
    return TemplateError(f"${{{name}}} is unknown", did_you_mean(name, known) or f"there are {NAMESPACES}")


def evaluate(node: Node, place: Place, context: Context, names: Mapping[str, str]) -> Plain:
    """What a node means, its templates expanded. Shares what holds none with the node."""
    if not node.dynamic:
        return node.value
    match node:
        case Map():
            return {key: evaluate(item, (*place, key), context, names) for key, item in node.items.items()}
        case Sequence():
            return [evaluate(item, (*place, index), context, names) for index, item in enumerate(node.items)]
        case Scalar():
            value = context.expand(node, place, names)
            return Expanded(node.text if value is None else value)


@dataclass(frozen=True, slots=True)
class Check:
    """Looks at templates whose values aren't needed: whether they can be parsed, and refer to what there is."""

    context: Context
    names: Mapping[str, str]
    variables: Collection[str]
    """The names of the variables that are declared where the templates hold."""

    def node(self, node: Node, place: Place) -> None:
        if not node.dynamic:
            return
        match node:
            case Map():
                for key, item in node.items.items():
                    self.node(item, (*place, key))
            case Sequence():
                for index, item in enumerate(node.items):
                    self.node(item, (*place, index))
            case Scalar():
                self._scalar(node, place)

    def _scalar(self, node: Scalar, place: Place) -> None:
        try:
            for piece in self.context.templates.pieces(node.text):
                if isinstance(piece, Reference):
                    self._reference(piece.name)
        except TemplateError as error:
            self.context.problems.add(node, place, error.message or "", error.hint)
            self.context.problems.mark_broken(node)

    def _reference(self, name: str) -> None:
        namespace, dot, rest = name.partition(".")
        if dot and namespace == "vars":
            if rest not in self.variables:
                raise unknown_variable(rest, self.variables)
        elif dot and namespace == "env":
            if not ENV_NAME.match(rest):
                raise TemplateError(f"{rest!r} is not the name of an environment variable")
        elif not (name in self.names or (dot and namespace == "git" and rest in GIT_FACTS)):
            raise unknown(name, self.names)
