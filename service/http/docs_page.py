"""How does the OpenAPI document look to people? One page of plain HTML, no script, a style of its own."""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from html import escape
from typing import Any

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h2{margin-top:2.5rem;border-bottom:1px solid #d0d7de}
h3{margin:2rem 0 .3rem;font-size:1rem;overflow-wrap:anywhere}p{margin:.4rem 0}ul{margin:.2rem 0;padding-left:1.2rem}
nav ul{list-style:none;padding:0;columns:22rem}nav li{break-inside:avoid;overflow-wrap:anywhere}nav b{font-size:.8rem}
code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:#f6f8fa;padding:.7rem;overflow:auto;border-radius:6px}
table{border-collapse:collapse;width:100%;margin:.5rem 0}td,th{border-top:1px solid #d0d7de;padding:.3rem .5rem;text-align:left;
vertical-align:top;overflow-wrap:break-word}th{white-space:nowrap}td p,td ul{margin:0}td:first-child{min-width:3rem}
b{display:inline-block;min-width:3.2rem}summary{cursor:pointer}a{color:#0550ae}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}pre{background:#161b22}td,th,h2{border-color:#30363d}
a{color:#79c0ff}}
"""
_DIGEST = b64encode(sha256(_STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy under which the page is whole."""

JSON = "application/json"
ITEM = "- "  # what a line of a list begins with in Markdown
Document = Mapping[str, Any]


def page(document: Document) -> str:
    """The whole page."""
    return "\n".join(["<!doctype html>", '<html lang="en">', *_head(document), *_body(document), "</html>", ""])


def _head(document: Document) -> Iterator[str]:
    yield '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    yield f"<title>{escape(document['info']['title'])}</title><style>{_STYLE}</style></head>"


def _body(document: Document) -> Iterator[str]:
    info = document["info"]
    yield f"<body><h1>{escape(info['title'])} {escape(info['version'])}</h1>{_text(info['description'])}"
    yield '<p>For programs: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</p>'
    yield f"<nav>{''.join(map(partial(_contents, document), document['tags']))}</nav>"
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'])}</h2>{_text(tag['description'])}"
        for method, path, operation in _tagged(document, tag):
            yield from _operation(document, method, path, operation)
    yield "<h2>schemas</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield f'<details id="{escape(name)}"><summary>{escape(name)}</summary>{_json(schema)}</details>'
    yield "</body>"


def _tagged(document: Document, tag: Document) -> Iterator[tuple[str, str, Document]]:
    """(method, path, operation) of what belongs together."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["tags"] == [tag["name"]]:
                yield method.upper(), path, operation


def _contents(document: Document, tag: Document) -> str:
    links = (
        f'<li><b>{method}</b> <a href="#{operation["operationId"]}"><code>{escape(path)}</code></a></li>'
        for method, path, operation in _tagged(document, tag)
    )
    return f"<p>{escape(tag['name'])}</p><ul>{''.join(links)}</ul>"


def _operation(document: Document, method: str, path: str, operation: Document) -> Iterator[str]:
    yield f'<h3 id="{operation["operationId"]}"><b>{method}</b> <code>{escape(path)}</code></h3>'
    yield f"{_text(operation['summary'])}{_text(operation.get('description', ''))}"
    if "security" in operation:
        yield _text("Needs `Authorization: Bearer <admin token>`.")
    yield _table(("parameter", "in", "what"), map(_parameter, _resolved(document, operation["parameters"])))
    if (body := operation.get("requestBody")) is not None:
        yield from _request(path, body)
    answers = (
        (status, _text(answer["description"]), _content(answer)) for status, answer in operation["responses"].items()
    )
    yield _table(("status", "what", "body"), answers)


def _resolved(document: Document, references: Iterable[Document]) -> list[Document]:
    return [document["components"]["parameters"][reference["$ref"].rpartition("/")[2]] for reference in references]


def _parameter(parameter: Document) -> tuple[str, str, str]:
    name = f"<code>{escape(parameter['name'])}</code>{'' if parameter.get('required') else ' (optional)'}"
    return name, escape(parameter["in"]), _text(parameter.get("description", ""))


def _request(path: str, body: Document) -> Iterator[str]:
    yield _table(
        ("request body", "schema"), ((escape(m), _schema(c.get("schema"))) for m, c in body["content"].items())
    )
    for name, example in body["content"][JSON]["examples"].items():
        model = name.partition(",")[0]
        sent = json.dumps(example["value"], ensure_ascii=False)
        url = path.replace("{model}", model).replace("{version}", "1")
        command = f"curl http://127.0.0.1:3000{url} -H 'content-type: application/json' -d '{sent}'"
        yield f"<details><summary>{escape(name)}</summary><pre>{escape(command)}</pre></details>"


def _content(answer: Document) -> str:
    """What may stand in the body; JSON goes without saying where its schema is named."""
    found = ((media, _schema(body.get("schema"))) for media, body in answer["content"].items())
    return "<br>".join(links if links and media == JSON else f"{escape(media)} {links}" for media, links in found)


def _schema(schema: Document | None) -> str:
    """Links to the schemas that it names."""
    names = sorted(set(_names(schema)))
    return " or ".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in names)


def _names(schema: Any) -> Iterator[str]:
    match schema:
        case {"$ref": str(reference)}:
            yield reference.rpartition("/")[2]
        case Mapping():
            for part in schema.values():
                yield from _names(part)
        case list():
            for part in schema:
                yield from _names(part)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    found = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{found}</table>"


def _json(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=1, ensure_ascii=False))}</pre>"


def _text(text: str) -> str:
    """Paragraphs and lists as they are written in the document; what stands between backticks is code."""
    blocks = (block.splitlines() for block in text.split("\n\n"))
    return "".join(
        _list(lines) if lines[0].startswith(ITEM) else f"<p>{_code(' '.join(lines))}</p>" for lines in blocks if lines
    )


def _list(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{_code(line.removeprefix(ITEM))}</li>' for line in lines)}</ul>"


def _code(text: str) -> str:
    return "".join(
        f"<code>{escape(part)}</code>" if odd % 2 else escape(part) for odd, part in enumerate(text.split("`"))
    )
