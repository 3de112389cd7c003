"""Templates as data: read with their functions, and resolved as CloudFormation would, where these templates need it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pages
import yaml

FOLDER = pages.ROOT / "configs" / "cloudformation"
ACCOUNT = "111111111111"
PSEUDO: Mapping[str, str] = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::StackName": "stack",
    "AWS::URLSuffix": "amazonaws.com",
}
NOTHING = object()
"""What `AWS::NoValue` is: the property isn't there."""


class _Loader(yaml.SafeLoader):
    """`!Ref x` becomes `{"Ref": x}`, every other `!Name x` `{"Fn::Name": x}`."""


def _function(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        raise TypeError(f"a mapping behind !{suffix}")
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _function)


def _is_function(key: str, value: Any) -> bool:
    """`Condition` is one in conditions; in policies it is a key like any other."""
    return key == "Ref" or key.startswith("Fn::") or (key == "Condition" and isinstance(value, str))


@dataclass(frozen=True)
class Template:
    """One file, with the values of its parameters."""

    data: Mapping[str, Any]
    values: Mapping[str, Any]

    def resources(self, kind: str = "") -> dict[str, dict[str, Any]]:
        """Those that would be made, by their logical ids: their properties, resolved."""
        return {
            name: self.resolve(each.get("Properties", {}))
            for name, each in self.data["Resources"].items()
            if each["Type"].startswith(kind) and self.holds(each.get("Condition"))
        }

    def holds(self, condition: str | None) -> bool:
        return condition is None or bool(self.resolve(self.data["Conditions"][condition]))

    def resolve(self, value: Any) -> Any:
        """Raises KeyError for functions and names that aren't known."""
        if isinstance(value, list):
            return [found for each in value if (found := self.resolve(each)) is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and _is_function(*(only := next(iter(value.items())))):
            return self._call(*only)
        return {key: found for key, each in value.items() if (found := self.resolve(each)) is not NOTHING}

    def _call(self, function: str, given: Any) -> Any:
        known: Mapping[str, Callable[[], Any]] = {
            "Ref": lambda: NOTHING if given == "AWS::NoValue" else self._named(given),
            "Condition": lambda: self.holds(given),
            "Fn::GetAtt": lambda: given,
            "Fn::Sub": lambda: re.sub(r"\$\{([\w:.]+)\}", lambda found: str(self._named(found[1])), given),
            "Fn::If": lambda: self.resolve(given[1] if self.holds(given[0]) else given[2]),
            "Fn::Equals": lambda: self.resolve(given[0]) == self.resolve(given[1]),
            "Fn::Not": lambda: not self.resolve(given[0]),
            "Fn::And": lambda: all(self.resolve(each) for each in given),
            "Fn::Or": lambda: any(self.resolve(each) for each in given),
            "Fn::Join": lambda: given[0].join(self.resolve(given[1])),
            "Fn::Base64": lambda: self.resolve(given),
        }
        return known[function]()

    def _named(self, name: str) -> Any:
        if name in self.values:
            return self.values[name]
        if name in PSEUDO:
            return PSEUDO[name]
        if name.partition(".")[0] in self.data["Resources"]:
            resource = self.data["Resources"][name.partition(".")[0]]
            own = {"AWS::CodeDeploy::Application": "ApplicationName", "AWS::CloudWatch::Alarm": "AlarmName"}
            return self.resolve(resource["Properties"][own[resource["Type"]]]) if resource["Type"] in own else name
        raise KeyError(name)


def template(name: str, **given: Any) -> Template:
    """`demo-fleet` with parameters. Raises KeyError for one that it hasn't, and for one that is missing."""
    data = yaml.load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    parameters = data["Parameters"]
    if unknown := given.keys() - parameters.keys():
        raise KeyError(f"{name} has no parameters {unknown}")
    values = {}
    for key, each in parameters.items():
        value = given[key] if key in given else each["Default"]
        is_list = each["Type"] == "CommaDelimitedList"
        values[key] = value.split(",") if is_list and isinstance(value, str) else value
    return Template(data, values)


def function_template(**given: str) -> Template:
    """The durable function's, with values for what has no default."""
    role = "arn:aws:iam::111111111111:role/orchestrator"
    needed = {"CodeBucket": "code", "CodeKey": "a.zip", "CodeVersion": "1", "DeployRoleArns": role}
    return template("orchestrator-lambda", **{**needed, **given})


def statements(found: Any) -> Iterator[dict[str, Any]]:
    """Every statement of a policy below this, with `Action` and `Resource` as lists."""
    if isinstance(found, dict):
        if "Effect" in found:
            each = dict(found)
            for key in ("Action", "Resource"):
                if key in each:
                    each[key] = [each[key]] if isinstance(each[key], str) else each[key]
            yield each
        else:
            for value in found.values():
                yield from statements(value)
    elif isinstance(found, list):
        for value in found:
            yield from statements(value)
