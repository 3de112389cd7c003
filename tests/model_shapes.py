"""Does an answer fit the service model? It shares nothing with the sandbox's serialiser: it walks the shapes itself."""

from __future__ import annotations

from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

MODEL = ServiceModel(Loader().load_service_model("codedeploy", "service-2"), "codedeploy")


def misfits(shape: Any, value: Any, path: str) -> list[str]:
    """Everything about the value that the shape doesn't have or has otherwise."""
    match shape.type_name:
        case "structure":
            return structure_misfits(shape, value, path)
        case "list":
            if not isinstance(value, list):
                return [f"{path}: {value!r} is no list"]
            return [problem for one in value for problem in misfits(shape.member, one, f"{path}[]")]
        case _:
            return [] if fits(shape, value) else [f"{path}: {value!r} is no {shape.name}"]


def structure_misfits(shape: Any, value: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is no object"]
    found = [f"{path}.{name}: not in {shape.name}" for name in value if name not in shape.members]
    for name in shape.members.keys() & value.keys():
        found += misfits(shape.members[name], value[name], f"{path}.{name}")
    return found


def fits(shape: Any, value: Any) -> bool:
    match shape.type_name:
        case "timestamp":
            return isinstance(value, float) and 1e9 < value < 1e10
        case "string":
            # AWS itself reports a type of OneAtATime that its enum doesn't have.
            return isinstance(value, str) and (not shape.enum or value in (*shape.enum, "MOST_CONCURRENCY"))
        case "integer" | "long":
            return isinstance(value, int) and not isinstance(value, bool)
        case "double":
            return isinstance(value, float)
        case "boolean":
            return isinstance(value, bool)
        case other:
            raise NotImplementedError(f"this checker doesn't know {other}")
