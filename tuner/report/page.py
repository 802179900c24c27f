"""Owns how the page is set: one HTML file that needs no network, no server and no trust in what it shows.

Charts are drawn by the page's own script on d3 (7.9.2, ISC licence, 280 kB, kept as published in `static/`). Looked at
and not taken: plotly.js (1.0 MB basic, 4.5 MB with parallel coordinates; puts styles in at run time and makes points
that no key can reach), Vega (evaluates expressions, 0.9 MB with the interpreter that doesn't), images drawn on the
server (no hover, and a size that doesn't fit a phone). With d3 every mark is an element of the page: it can be focused,
named for a screen reader, coloured by the style sheet in both themes, printed sharply, and counted by a test.

What the page shows came from logs, model repositories and result files of strangers. Every text goes through
`tuner.domain.inert`, Jinja escapes it, the script only ever sets text, and the content security policy allows nothing
but the two scripts and the one style sheet that are known by their hashes: no network, no evaluation, no HTML sinks.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from typing import Any, cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tuner.domain.inert import inert
from tuner.report.page_model import Page

_STYLE, _LIBRARY, _SCRIPT = "report.css", "d3.min.js", "report.js"


def render(page: Page, *, clean: Callable[[str], str] = str) -> str:
    """Return the page as HTML.

    Args:
        page: what it shows.
        clean: applied to every text of it, such as the blanking of secrets.
    """
    tree = _texts(asdict(page), lambda text: inert(clean(text), lines=True))
    style, library, script = map(_static, (_STYLE, _LIBRARY, _SCRIPT))
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            page=tree,
            data=data_of(tree),
            policy=content_policy(style, (library, script)),
            style=Markup(style),  # noqa: S704  # our own files, not text from outside
            library=Markup(library),  # noqa: S704
            script=Markup(script),  # noqa: S704
        )
    )


def content_policy(style: str, scripts: tuple[str, ...]) -> str:
    """Return the content security policy that allows these texts and nothing else."""
    allowed = " ".join(map(_hash, scripts))
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


def data_of(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the script needs: charts by their place in the page, trial sheets by study and number."""
    charts = {f"all-{chart['id']}": _compact(chart) for chart in _charts(tree["comparison"])}
    trials: dict[str, Any] = {}
    for number, study in enumerate(tree["studies"]):
        verdict = study["verdict"]["chart"]
        all_charts = [*([verdict] if verdict else []), *_charts(study["figures"])]
        charts |= {f"s{number}-{chart['id']}": _compact(chart) for chart in all_charts}
        trials |= {f"s{number}-{sheet['number']}": _compact(sheet) for sheet in study["trials"]}
    return {"charts": charts, "trials": trials}


def _charts(figures: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for figure in figures:
        yield from figure["charts"]


def _compact(value: Any) -> Any:  # noqa: ANN401  # whatever JSON has
    """Return the value without what is empty, false or unknown: the script takes a missing key for that."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {key: _compact(part) for key, part in items if not _is_empty(part)}
    if isinstance(value, (list, tuple)):
        return [_compact(part) for part in cast("list[Any]", value)]
    return round(value, 6) if isinstance(value, float) else value


def _is_empty(value: Any) -> bool:  # noqa: ANN401  # whatever JSON has
    return value is None or value is False or (isinstance(value, (str, list, tuple)) and not value)


def _texts(value: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401  # whatever JSON has
    """Return the value with every text changed."""
    match value:
        case str():
            return change(str(value))
        case dict():
            return {key: _texts(part, change) for key, part in cast("dict[str, Any]", value).items()}
        case list() | tuple():
            return [_texts(part, change) for part in cast("list[Any]", value)]
        case _:
            return value


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def _static(name: str) -> str:
    return files("tuner.report").joinpath("static", name).read_text(encoding="utf-8").rstrip("\n")


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("tuner.report", "static"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False, "allow_nan": False}
    return made
