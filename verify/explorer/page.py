"""The explorer's page: Bokeh's core bundle, the plots without data, the data, and a small script that steps through it."""

import html
import json
from importlib.resources import files
from typing import Any

# Blue to orange through the page's background: colors that colour-blind people can tell apart, in both color schemes.
LIGHT = ("#0072b2", "#f7f7f7", "#d55e00")
DARK = ("#56b4e9", "#22262b", "#e69f00")
STEPS = 64


def page(report: dict[str, Any]) -> str:
    """The whole page as one string; it loads nothing from anywhere."""
    from bokeh.embed import json_item
    from bokeh.resources import Resources

    bundle = Resources(mode="inline", components=["bokeh"], minified=True)
    items = {name: json_item(plot, f"plot-{name}") for name, plot in _plots(report).items()}
    palettes = {
        scheme: {"diverging": _blend(*colors), "sequential": _blend(colors[1], colors[0])}
        for scheme, colors in (("light", LIGHT), ("dark", DARK))
    }
    own = files("verify.explorer")
    parameters = report["parameters"]
    parts = {
        "TITLE": html.escape(f"Theorem 1 on K = {parameters['K']} tasks, d = {parameters['d']}"),
        "STYLE": own.joinpath("page.css").read_text(encoding="utf-8"),
        "DATA": _json(report),
        "PLOTS": _json({"items": items, "palettes": palettes}),
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


def _blend(*colors: str) -> list[str]:
    """Evenly spaced colors along a path."""
    import numpy as np

    points = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in colors])
    at = np.linspace(0, len(colors) - 1, STEPS)
    channels = [np.rint(np.interp(at, range(len(colors)), channel)).astype(int) for channel in points.T]
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in zip(*channels, strict=True)]


def _plots(report: dict[str, Any]) -> dict[str, Any]:
    from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, LinearColorMapper, Span
    from bokeh.plotting import figure

    def source(name: str, *columns: str) -> Any:
        return ColumnDataSource(data={column: [] for column in columns}, name=name)

    def blank(name: str, **options: Any) -> Any:
        plot = figure(toolbar_location=None, tools="", background_fill_color=None, border_fill_color=None, name=name, **options)
        plot.outline_line_color = None
        plot.xaxis.name, plot.yaxis.name = f"{name}-x", f"{name}-y"
        plot.grid.visible = False
        return plot

    def heat(name: str, width: int, hover: list[tuple[str, str]], palette: str) -> Any:
        height = max(len(prompt["tokens"]) for prompt in report["prompts"])
        plot = blank(
            name, x_range=(-0.5, width - 0.5), y_range=(height - 0.5, -0.5), height=60 + 12 * height, sizing_mode="stretch_width"
        )
        cells = source(f"{name}-cells", "x", "y", "v", "row", "column", "edge")
        mapper = LinearColorMapper(palette=list(LIGHT), low=-1 if palette == "diverging" else 0, high=1, name=f"{name}-colors")
        plot.rect(
            "x",
            "y",
            width=1,
            height=1,
            source=cells,
            fill_color={"field": "v", "transform": mapper},
            line_color="edge",
            line_width=1,
        )
        plot.add_tools(HoverTool(tooltips=hover))
        plot.axis.major_tick_line_color = plot.axis.minor_tick_line_color = plot.axis.axis_line_color = None
        plot.xaxis.ticker, plot.yaxis.ticker = FixedTicker(), FixedTicker()
        plot.axis.major_label_text_font_size = "9px"
        plot.xaxis.major_label_orientation = 1.2
        return plot

    stream = heat("stream", len(report["columns"]), [("token", "@row"), ("coordinate", "@column"), ("value", "@v")], "diverging")
    owners = [column["subspace"] for column in report["columns"]]
    for i in range(1, len(owners)):
        if owners[i] != owners[i - 1]:
            stream.add_layout(Span(location=i - 0.5, dimension="height", line_color="#888888", line_width=1))
    N = max(len(prompt["tokens"]) for prompt in report["prompts"])
    attention = heat("attention", N, [("token", "@row"), ("reads", "@column"), ("weight", "@v{0.000000}")], "sequential")
    attention.xaxis.axis_label, attention.yaxis.axis_label = "key", "query"

    circle = blank("circle", width=340, height=340, x_range=(-1.45, 1.45), y_range=(-1.45, 1.45))
    circle.axis.visible = False
    circle.circle(0, 0, radius=1, fill_color=None, line_color="#888888")
    codes = source("circle-codes", "x", "y", "name")
    circle.scatter("x", "y", source=codes, size=16, marker="circle_x", fill_color=None, line_color="#888888")
    circle.text("x", "y", text="name", source=codes, text_font_size="11px", text_color="#888888", x_offset=12, y_offset=-6)
    points = source("circle-points", "x", "y", "name", "count")
    spots = circle.scatter("x", "y", source=points, size=9, color=LIGHT[0], fill_alpha=0.7)
    mean = circle.scatter("x", "y", source=source("circle-mean", "x", "y", "name"), size=14, marker="diamond", color=LIGHT[2])
    circle.add_tools(HoverTool(tooltips="@name", renderers=[spots, mean]))

    errors = blank("errors", height=300, sizing_mode="stretch_width", y_axis_type="log", x_range=(0.5, 7.5))
    errors.xaxis.ticker = list(range(1, 8))
    errors.xaxis.major_label_overrides = {layer["number"]: layer["name"] for layer in report["layers"]}
    errors.xaxis.major_label_orientation = 0.6
    for name, marker, color in (("bound", "dash", "#888888"), ("observed", "circle", LIGHT[2]), ("current", "circle", LIGHT[2])):
        size = 16 if name == "current" else 10
        fill = None if name == "current" else color
        # A log axis without any data is a warning in the console: a first point, until the page's script sets the real ones.
        data = ColumnDataSource(data={"x": [1], "y": [report["prompts"][0]["error_bound"]]}, name=f"errors-{name}")
        errors.scatter(
            "x", "y", source=data, marker=marker, size=size + 10 * (marker == "dash"), color=color, line_width=2, fill_color=fill
        )
    return {"stream": stream, "attention": attention, "circle": circle, "errors": errors}
