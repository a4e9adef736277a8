"""The explorer's page: Bokeh's core bundle, the plots without data, the data, and a small script
that steps through it."""

import html
import json
from importlib.resources import files
from typing import Any

from verify.explorer import plots
from verify.explorer.tasks import VIEWS


def page(report: dict[str, Any]) -> str:
    """The whole page as one string; it loads nothing from anywhere."""
    from bokeh.core.types import ID
    from bokeh.embed import json_item
    from bokeh.resources import Resources

    bundle = Resources(mode="inline", components=["bokeh"], minified=True)
    items = {name: json_item(plot, ID(f"plot-{name}")) for name, plot in _plots(report).items()}
    own = files("verify.explorer")
    parameters = report["parameters"]
    parts = {
        "TITLE": html.escape(
            f"Theorem {report['theorem']['number']} on K = {parameters['K']} tasks, d = "
            f"{parameters['d']}, up to m = {parameters['m']} examples"
        ),
        "STYLE": own.joinpath("page.css").read_text(encoding="utf-8"),
        "DATA": _json(report),
        "PLOTS": _json({"items": items, "palettes": plots.palettes()}),
        "BOKEH": "\n".join(bundle.js_raw),
        "SCRIPT": own.joinpath("page.js").read_text(encoding="utf-8"),
    }
    text = own.joinpath("page.html").read_text(encoding="utf-8")
    # The pieces of the template are split first: no part is searched for the name of another.
    pieces = text.split("@@")
    return "".join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces))


def _json(value: Any) -> str:
    """JSON that is safe inside a script element."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _plots(report: dict[str, Any]) -> dict[str, Any]:
    """The plots by name, without data."""
    view = next(view for view in VIEWS if view.subspace == report["view"]["subspace"])
    return {
        "stream": plots.stream(report),
        "attention": plots.attention(report),
        "tasks": view.plot(report),
        "errors": plots.errors(report),
    }
