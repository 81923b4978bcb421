"""The description of the API, docs/api/openapi.json, as a paper: for people, on this server."""

import json
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

FILE = settings.BASE_DIR / "docs/api/openapi.json"
REF = "#/components/schemas/"

Shape = dict[str, Any]


def as_paper() -> str:
    """Markdown: each call with its fields, then the objects that calls and answers consist of."""
    document = json.loads(FILE.read_text())
    calls = [
        (f"{method.upper()} {path}", call)
        for path, methods in document["paths"].items()
        for method, call in methods.items()
    ]
    lines = [f"# {_('The API: every call and field')}", _introduction(), f"## {_('Calls')}"]
    for name, call in calls:
        lines += _call(name, call)
    lines.append(f"## {_('Objects')}")
    for name, shape in document["components"]["schemas"].items():
        lines += _object(name, shape)
    return "\n\n".join(lines)


def _introduction() -> str:
    return _(
        "Programs get this description as OpenAPI by `GET /api/v1/openapi.json`. An error has the "
        "same form everywhere: [Refused](#Refused)."
    )


def _call(name: str, call: Shape) -> Iterator[str]:
    yield f"### {name}"
    yield f"{call['summary']}."
    if parameters := call.get("parameters"):
        yield _table(
            (f"`{one['name']}`", _type(one["schema"]), one.get("description", ""))
            for one in parameters
        )
    if body := call.get("requestBody"):
        yield _("The body: %(type)s") % {"type": _type(_content(body))}
        if description := body.get("description"):
            yield description
        for content in body["content"].values():
            if example := content.get("example"):
                yield f"```json\n{json.dumps(example, ensure_ascii=False)}\n```"
    errors = [status for status in call["responses"] if status >= "400"]
    for status in call["responses"].keys() - errors:
        type_ = _type(_content(call["responses"][status]))
        yield _("Answer %(status)s: %(type)s.") % {"status": status, "type": type_}
    yield _("Errors: %(statuses)s.") % {"statuses": ", ".join(errors)}


def _content(answer: Shape) -> Shape:
    """The shape of a body in JSON."""
    shape: Shape = answer["content"]["application/json"]["schema"]
    return shape


def _object(name: str, shape: Shape) -> Iterator[str]:
    yield f'<a id="{name}"></a>'
    yield f"### {name}"
    if description := shape.get("description"):
        yield description
    if "properties" in shape:
        yield _table(
            (f"`{field}`", _type(one), one.get("description", ""))
            for field, one in shape["properties"].items()
        )
    else:
        yield _type(shape)


def _table(rows: Any) -> str:
    heads = f"| {_('Name')} | {_('Type')} | {_('Meaning')} |\n|---|---|---|"
    return "\n".join([heads, *(f"| {' | '.join(row)} |" for row in rows)])


def _type(shape: Shape) -> str:
    """What a value is, in the words of JSON, with links to objects."""
    if ref := shape.get("$ref"):
        name = ref.removeprefix(REF)
        return f"[{name}](#{name})"
    if "anyOf" in shape:
        return ", ".join(map(_type, shape["anyOf"]))
    if "enum" in shape:
        return ", ".join(f"`{choice}`" for choice in shape["enum"])
    if shape.get("type") == "array":
        return _("list of %(type)s") % {"type": _type(shape["items"])}
    type_ = shape.get("type", "object")
    return ", ".join([type_] if isinstance(type_, str) else type_) + (
        f" ({shape['format']})" if "format" in shape else ""
    )
