"""Keys of AppSpecs for ECS and Lambda, which the guide writes capitalised or not; and their hooks."""

from __future__ import annotations

from collections.abc import Collection

from orchestrator.bundle.appspec_findings import Findings, did_you_mean
from orchestrator.bundle.ruby_yaml import Value


def field_of(mapping: Value, name: str, findings: Findings) -> Value | None:
    """The value of a key, in whatever case; None when it isn't there or is empty."""
    found: Value | None = None
    for key, value in mapping.pairs:
        if not key.is_string or str(key.scalar).lower() != name.lower():
            continue
        if key.scalar not in {name, name.lower(), name[0].lower() + name[1:]}:
            findings.warning(key, "key_case", f"the guide writes {name}, not {key.shown()}", f"write `{name}:`")
        found = value
    return None if found is None or found.is_nil else found


def warn_of_other_keys(mapping: Value, known: Collection[str], findings: Findings) -> None:
    lower = {name.lower() for name in known}
    for key in mapping.doubled:
        findings.warning(key, "duplicate_key", f"the key {key.shown()} stands twice", "take one of them out")
    for key, _ in mapping.pairs:
        if not key.is_string or str(key.scalar).lower() not in lower:
            message = f"{key.shown()!r} is no key that the guide has here"
            findings.warning(key, "unknown_key", message, did_you_mean(key.to_s(), known))


def required_text(mapping: Value, name: str, findings: Findings) -> Value | None:
    value = field_of(mapping, name, findings)
    if value is None:
        findings.error(mapping, "property_missing", f"{name} is missing")
        return None
    if not value.is_string or not str(value.scalar).strip():
        findings.error(value, "property_type", f"{name} must be text, not {value.shown()!r}", "put it in quotes")
        return None
    if str(value.scalar).startswith("<") and str(value.scalar).endswith(">"):
        message = f"{name} is the placeholder {value.shown()}, which only CodePipeline fills in"
        findings.warning(value, "template_left", message)
    return value


def hooks_of(root: Value, events: Collection[str], findings: Findings) -> None:
    """A list of mappings with one key each: the event, and the Lambda function that it calls."""
    hooks = field_of(root, "Hooks", findings)
    if hooks is None:
        return
    if not hooks.is_list:
        message = "Hooks must be a list, each entry an event and its function"
        findings.error(hooks, "hooks_type", message, 'write `- BeforeAllowTraffic: "function"`')
        return
    seen: set[str] = set()
    for entry in hooks.items:
        if not entry.is_mapping:
            findings.error(entry, "hook_script_type", "must be an event and its function", "is a colon missing?")
            continue
        for event, function in entry.pairs:
            _check_hook(event, function, events, findings)
            if event.to_s() in seen:
                findings.warning(event, "duplicate_key", f"{event.shown()} stands twice")
            seen.add(event.to_s())


def _check_hook(event: Value, function: Value, events: Collection[str], findings: Findings) -> None:
    name = event.shown()
    if not event.is_string or event.scalar not in events:
        hint = did_you_mean(name, events) or f"events with functions are {', '.join(events)}"
        findings.error(event, "hook_unknown_event", f"{name!r} is no lifecycle event that can have a function", hint)
    if not function.is_string or not str(function.scalar).strip():
        message = f"{name} must be the name or ARN of a Lambda function, not {function.shown()!r}"
        findings.error(function, "hook_function_type", message, "put it in quotes")
