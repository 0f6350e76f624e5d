#!/usr/bin/env python3
"""Writes src/parley_client/_operations.py from the OpenAPI description of a gateway.

    python3 clients/python/generate.py openapi.json            write it
    python3 clients/python/generate.py openapi.json --check    exit 1 where what is there differs
"""

from __future__ import annotations

import json
import keyword
import pathlib
import re
import sys
import textwrap
from typing import Any

TARGET = pathlib.Path(__file__).parent / "src/parley_client/_operations.py"
METHODS = ("get", "post", "put", "patch", "delete")
# Written by hand: a stream that resumes is more than one request.
BY_HAND = {("get", "/v1/calls/events"), ("get", "/v1/speech/stream")}
# One thing by its name is got, replaced and deleted; a list is listed and added to.
ON_ONE = {"get": "get", "put": "put", "patch": "change", "delete": "delete", "post": "post"}
ON_MANY = {"get": "list", "put": "put", "post": "create", "patch": "change", "delete": "clear"}


class Types:
    """The shapes of answers, as TypedDicts with names of their own."""

    def __init__(self, components: dict[str, Any]):
        self.components = components
        self.texts: dict[str, str] = {}

    def resolve(self, schema: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[-1]
            return self.components[name], name
        return schema, None

    def of(self, schema: dict[str, Any], name: str) -> str:
        schema, known = self.resolve(schema)
        if known:
            name = pascal(known)
        kind = schema.get("type")
        if isinstance(kind, list):
            kinds = [one for one in kind if one != "null"]
            inner = self.of({**schema, "type": kinds[0]}, name) if len(kinds) == 1 else "Any"
            return inner if inner == "Any" or len(kinds) == len(kind) else f"{inner} | None"
        for key in ("anyOf", "oneOf"):
            if key in schema:
                parts = [self.of(one, name) for one in schema[key] if one.get("type") != "null"]
                text = " | ".join(dict.fromkeys(parts)) if "Any" not in parts else "Any"
                none = any(one.get("type") == "null" for one in schema[key])
                return f"{text} | None" if none and text != "Any" else text
        if "enum" in schema and all(isinstance(one, str) for one in schema["enum"]):
            return "Literal[" + ", ".join(json.dumps(one) for one in schema["enum"]) + "]"
        if kind == "array":
            return f"List[{self.of(schema.get('items', {}), singular(name))}]"
        if kind == "object":
            properties = schema.get("properties")
            if not properties:
                return "dict[str, Any]"
            return self.dictionary(schema, name)
        if kind == "string" and schema.get("format") == "binary":
            return "bytes"
        return {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}.get(kind or "", "Any")

    def dictionary(self, schema: dict[str, Any], name: str) -> str:
        required = set(schema.get("required", []))
        lines = []
        for key, value in schema["properties"].items():
            text = self.of(value, name + pascal(key))
            lines.append((key, text if key in required else f"NotRequired[{text}]"))
        if all(key.isidentifier() and not keyword.iskeyword(key) for key, _ in lines):
            body = "\n".join(f"    {key}: {text}" for key, text in lines)
            shape = f"class {name}(TypedDict):\n{docstring(schema.get('description'), 4)}{body}\n"
        else:
            body = "\n".join(f"    {key!r}: {text}," for key, text in lines)
            shape = f"{name} = TypedDict(\n    {name!r},\n    {{\n{textwrap.indent(body, '    ')}\n    }},\n)\n"
        # Two shapes that are alike share a name; two that are not must not.
        number, free = 2, name
        while self.texts.get(free, shape) != shape:
            free, number = f"{name}{number}", number + 1
            shape = shape.replace(f"class {name}(", f"class {free}(").replace(f"{name} = ", f"{free} = ")
        self.texts[free] = shape
        return free


class Operation:
    def __init__(self, method: str, path: str, operation: dict[str, Any], types: Types):
        self.method, self.path, self.operation = method, path, operation
        parts = path.removeprefix("/v1/").split("/")
        self.group = snake(parts[0])
        words = [snake(part) for part in parts[1:] if not part.startswith("{")]
        verb = (ON_ONE if parts[-1].startswith("{") else ON_MANY)[method]
        self.verb = verb
        self.name = "_".join(words) or verb
        if words and parts[-1].startswith("{"):
            self.name += "_" + verb
        self.types = types
        content = operation.get("requestBody", {}).get("content", {})
        self.is_multipart = "multipart/form-data" in content
        schema = content.get("multipart/form-data") or content.get("application/json") or {}
        self.body, _ = types.resolve(schema.get("schema", {}))
        # What may stand in the form as well as in the query stands in the form.
        fields = self.body.get("properties", {})
        self.parameters = [
            parameter
            for parameter in operation.get("parameters", [])
            if parameter["in"] == "path"
            or (parameter["in"] == "query" and parameter["name"] not in fields)
            or parameter["name"] in ("If-Match", "If-None-Match")
        ]
        self.takes_key = any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", []))
        label = pascal(singular(self.group)) + ("" if self.name in ("get", "list", "create", "put") else pascal(self.name))
        self.label = label
        good: dict[str, Any] = next(
            (value for status, value in sorted(operation["responses"].items()) if status.startswith("2")), {}
        )
        self.answer = "None"
        for type_, media in good.get("content", {}).items():
            shape = media.get("schema", {})
            if "json" in type_:
                self.answer = types.of(shape, label + ("Page" if verb == "list" and not words else ""))
            elif type_.startswith("text/"):
                self.answer = "str"
            else:
                self.answer = "bytes"
            break
        answer, _ = types.resolve(next(iter(good.get("content", {"": {}}).values())).get("schema", {}))
        self.is_paged = "next_cursor" in answer.get("properties", {})

    def arguments(self) -> tuple[list[str], list[str], list[str]]:
        """Signature, lines that send query and headers, lines that send the body."""
        positional, named, query, headers = [], [], [], []
        for parameter in self.parameters:
            name = identifier(parameter["name"])
            text = self.types.of(parameter["schema"], self.label + pascal(name))
            if name == "cursor":
                text = "str"  # a page's `next_cursor`, whatever it is made of
            if parameter["in"] == "path":
                positional.append(f"{name}: {text}")
            elif parameter.get("required"):
                named.append(f"{name}: {text}")
            else:
                named.append(f"{name}: {text} | None = None")
            if parameter["in"] == "query":
                query.append(f"{parameter['name']!r}: {name}")
            elif parameter["in"] == "header":
                headers.append(f"{parameter['name']!r}: {name}")
        body = []
        required = set(self.body.get("required", []))
        for key, schema in sorted(self.body.get("properties", {}).items(), key=lambda item: item[0] not in required):
            name = identifier(key)
            text = self.types.of(schema, self.label + pascal(key) + "In")
            named.append(f"{name}: {text}" if key in required else f"{name}: {text} | None = None")
            body.append((key, name, schema))
        if self.takes_key:
            named.append("idempotency_key: str | None = None")
            headers.append("'Idempotency-Key': idempotency_key or _new_key()")
        send = []
        if query:
            send.append(f"params=_present({{{', '.join(query)}}})")
        if headers:
            send.append(f"headers=_headers({{{', '.join(headers)}}})")
        if self.is_multipart:
            files = [f"{key!r}: {name}" for key, name, schema in body if is_binary(schema)]
            fields = [f"{key!r}: {name}" for key, name, schema in body if not is_binary(schema)]
            send.append(f"files=_files({{{', '.join(files)}}})")
            if fields:
                send.append(f"data=_form({{{', '.join(fields)}}})")
        elif body:
            send.append("json=_body({" + ", ".join(f"{key!r}: {name}" for key, name, _ in body) + "})")
        signature = positional + (["*"] if named else []) + named
        return signature, send, positional

    def text(self, is_async: bool) -> str:
        signature, send, positional = self.arguments()
        path = re.sub(r"\{([^}]+)\}", lambda match: "{_quote(" + identifier(match[1]) + ")}", self.path)
        quoted = f'f"{path}"' if "{" in path else f'"{path}"'
        call = ", ".join([f'"{self.method.upper()}"', quoted] + send)
        word, wait = ("async def", "await ") if is_async else ("def", "")
        explanation = self.operation.get("summary", "")
        details = [
            f"{identifier(parameter['name'])}: {parameter['description']}"
            for parameter in self.parameters
            if parameter.get("description")
        ] + [
            f"{identifier(key)}: {schema['description']}"
            for key, schema in self.body.get("properties", {}).items()
            if schema.get("description")
        ]
        doc = docstring(explanation, 8, details)
        head = f"    {word} {self.name}(self, {', '.join(signature)}) -> {self.answer}:\n".replace("(self, )", "(self)")
        out = head + doc
        if self.answer == "None":
            out += f"        {wait}self._request({call})\n"
        else:
            out += f"        return cast({self.answer!r}, {wait}self._request({call}))\n"
        if self.is_paged:
            out += "\n" + self.iteration(signature, positional, is_async)
        return out

    def iteration(self, signature: list[str], positional: list[str], is_async: bool) -> str:
        kept = [one for one in signature if not one.startswith("cursor:")]
        schema, _ = self.types.resolve(self.schema_of_answer())
        item = self.types.of(schema["properties"]["items"], "Any")
        item = item.removeprefix("List[").removesuffix("]")
        names = [one.split(":")[0] for one in kept if one != "*"]
        first = [one.split(":")[0] for one in positional]
        pass_on = ", ".join(first + [f"{name}={name}" for name in names if name not in first] + ["cursor=cursor"])
        word, wait, kind = ("async def", "await ", "AsyncIterator") if is_async else ("def", "", "Iterator")
        title = "every" if self.name == "list" else f"every_{self.name}"
        return (
            f"    {word} {title}(self, {', '.join(kept)}) -> {kind}[{item}]:\n"
            f'        """The same, over all pages."""\n'
            f"        cursor: str | None = None\n"
            f"        while True:\n"
            f"            page = {wait}self.{self.name}({pass_on})\n"
            f"            for item in page['items']:\n"
            f"                yield item\n"
            f"            cursor = page['next_cursor']\n"
            f"            if cursor is None:\n"
            f"                return\n"
        ).replace("(self, )", "(self)")

    def schema_of_answer(self) -> dict[str, Any]:
        good = next(value for status, value in sorted(self.operation["responses"].items()) if status.startswith("2"))
        schema: dict[str, Any] = next(iter(good["content"].values()))["schema"]
        return schema


def is_binary(schema: dict[str, Any]) -> bool:
    return schema.get("format") == "binary" or "contentMediaType" in schema


def pascal(text: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", text))


def snake(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def identifier(text: str) -> str:
    name = snake(text)
    return name + "_" if keyword.iskeyword(name) else name


def singular(name: str) -> str:
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name + "Item"


def docstring(text: str | None, indent: int, details: list[str] | None = None) -> str:
    if not text and not details:
        return ""
    space = " " * indent
    lines = textwrap.wrap(text or "", 120 - indent - 6)
    if details:
        lines.append("")
        for detail in details:
            lines += textwrap.wrap(detail, 120 - indent, subsequent_indent="  ", initial_indent="")
    body = ("\n" + space).join(line.replace("\\", "\\\\").replace('"""', "'''") for line in lines)
    body = "\n".join(line.rstrip() for line in body.split("\n"))
    return f'{space}"""{body}' + (f"\n{space}" if details else "") + '"""\n'


def generate(document: dict[str, Any]) -> str:
    types = Types(document.get("components", {}).get("schemas", {}))
    groups: dict[str, list[Operation]] = {}
    for path, item in sorted(document["paths"].items()):
        if not path.startswith("/v1/"):
            continue
        for method in METHODS:
            if method in item and (method, path) not in BY_HAND:
                operation = Operation(method, path, item[method], types)
                groups.setdefault(operation.group, []).append(operation)
    for operations in groups.values():
        name_apart(operations)
    classes = []
    for is_async in (False, True):
        for group, operations in sorted(groups.items()):
            name = ("Async" if is_async else "") + pascal(group)
            kind = "AsyncRequest" if is_async else "Request"
            methods = "\n".join(operation.text(is_async) for operation in operations)
            classes.append(
                f"class {name}:\n    def __init__(self, request: {kind}):\n        self._request = request\n\n{methods}"
            )
        prefix = "Async" if is_async else ""
        members = "\n".join(f"        self.{group} = {prefix}{pascal(group)}(request)" for group in sorted(groups))
        classes.append(
            f"class {prefix}Operations:\n    def __init__(self, request: {prefix}Request):\n{members}\n"
        )
    shapes = "\n\n".join(types.texts[name] for name in types.texts)
    return HEAD + "\n\n" + shapes + "\n\n" + "\n\n".join(classes)


def name_apart(operations: list[Operation]) -> None:
    """Where one path takes several methods, each says what it does; where a list is there for one thing and for all, also that."""
    for name in {operation.name for operation in operations}:
        same = [operation for operation in operations if operation.name == name]
        if len({operation.method for operation in same}) > 1:
            for operation in same:
                operation.name = f"{name}_{operation.verb}"
        elif len(same) > 1:
            fewest = min(same, key=lambda operation: operation.path.count("{"))
            fewest.name = f"{name}_of_all"


HEAD = '''# Made by generate.py from the description that the gateway serves at /openapi.json. Change that, not this.
# fmt: off
from __future__ import annotations

from typing import (
    Any, AsyncIterator, Awaitable, Iterator, List, Literal, Mapping, NotRequired, Protocol, TypedDict, cast,
)
from urllib.parse import quote
from uuid import uuid4


class Request(Protocol):
    def __call__(self, method: str, path: str, **options: Any) -> Any: ...


class AsyncRequest(Protocol):
    def __call__(self, method: str, path: str, **options: Any) -> Awaitable[Any]: ...


def _new_key() -> str:
    return uuid4().hex


def _quote(value: object) -> str:
    return quote(str(value), safe="")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(_text(one) for one in value)
    return str(value)


def _present(values: Mapping[str, object]) -> dict[str, str]:
    return {name: _text(value) for name, value in values.items() if value is not None}


_headers = _present


def _form(values: Mapping[str, object]) -> dict[str, str | list[str]]:
    return {
        name: [_text(one) for one in value] if isinstance(value, (list, tuple)) else _text(value)
        for name, value in values.items()
        if value is not None
    }


def _body(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _files(values: Mapping[str, object]) -> dict[str, tuple[str, object]]:
    return {
        name: value if isinstance(value, tuple) else (name, value) for name, value in values.items() if value is not None
    }
'''


def main() -> int:
    document = json.loads(pathlib.Path(sys.argv[1]).read_text())
    text = generate(document)
    if "--check" in sys.argv[2:]:
        if TARGET.read_text() == text:
            return 0
        print(f"error: {TARGET} is not what the description gives; run generate.py", file=sys.stderr)
        return 1
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
