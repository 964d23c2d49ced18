# SPDX-License-Identifier: Apache-2.0
"""As much of JSON Schema as docs/schemas uses, to hold what commands print against it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
_KNOWN = {
    "$defs", "$ref", "$schema", "additionalProperties", "anyOf", "default", "description", "enum",
    "items", "maxItems", "minItems", "prefixItems", "properties", "required", "title", "type",
}  # fmt: skip


def faults(
    value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "$"
) -> Iterator[str]:
    """Yield where a value is not as its schema says."""
    assert set(schema) <= _KNOWN, f"{at}: this reader does not know {set(schema) - _KNOWN}"
    if "$ref" in schema:
        yield from faults(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, at)
        return
    if "anyOf" in schema:
        if all(list(faults(value, one, root, at)) for one in schema["anyOf"]):
            yield f"{at}: {value!r:.80} is none of what is allowed"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is not one of {schema['enum']}"
    kinds = schema.get("type", [])
    allowed = [t for kind in ([kinds] if isinstance(kinds, str) else kinds) for t in _TYPES[kind]]
    if allowed and type(value) not in allowed:
        yield f"{at}: {value!r:.80} is no {kinds}"
    elif isinstance(value, dict):
        yield from _object_faults(value, schema, root, at)
    elif isinstance(value, list):
        parts = schema.get("prefixItems", [schema.get("items", {})] * len(value))
        if len(parts) != len(value):
            yield f"{at}: {len(value)} items, not {len(parts)}"
        for number, (item, part) in enumerate(zip(value, parts, strict=False)):
            yield from faults(item, part, root, f"{at}[{number}]")


def _object_faults(
    value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], at: str
) -> Iterator[str]:
    fields = schema.get("properties", {})
    yield from (f"{at}.{name}: missing" for name in schema.get("required", []) if name not in value)
    others = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in fields:
            yield from faults(item, fields[name], root, f"{at}.{name}")
        elif others is False:
            yield f"{at}.{name}: not in the schema"
        elif isinstance(others, dict):
            yield from faults(item, others, root, f"{at}.{name}")
