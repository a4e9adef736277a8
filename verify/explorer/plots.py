"""The explorer's plots without their data, which the page's script sets at each step. Bokeh is
imported when a plot is made.

A model that the script asks for is named after its plot and its role, such as 'stream-cells'; a
color mapper's tag is its palette.
"""

from typing import Any

# Blue to orange through the page's background: colors that colour-blind people can tell apart, in
# both color schemes.
LIGHT = ("#0072b2", "#f7f7f7", "#d55e00")
DARK = ("#56b4e9", "#22262b", "#e69f00")
GRAY = "#888888"  # in sight on both backgrounds
STEPS = 64
ROW = 14  # pixels of a token's row, enough for its name
NARROW = 44  # letters that fit side by side below a plot on a telephone


def palettes() -> dict[str, dict[str, list[str]]]:
    """By color scheme: 'diverging' for values of both signs, 'sequential' for weights."""
    return {
        scheme: {"diverging": _blend(*colors), "sequential": _blend(colors[1], colors[0])}
        for scheme, colors in (("light", LIGHT), ("dark", DARK))
    }


def _blend(*colors: str) -> list[str]:
    """Evenly spaced colors along a path."""
    import numpy as np

    points = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in colors])
    at = np.linspace(0, len(colors) - 1, STEPS)
    channels = [
        np.rint(np.interp(at, range(len(colors)), channel)).astype(int) for channel in points.T
    ]
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in zip(*channels, strict=True)]


def source(name: str, *columns: str) -> Any:
    """An empty source that the page's script fills."""
    from bokeh.models import ColumnDataSource

    return ColumnDataSource(data={column: [] for column in columns}, name=name)


def blank(name: str, **options: Any) -> Any:
    """A figure without frame, tools or background; its axes are NAME-x and NAME-y."""
    from bokeh.plotting import figure

    plot = figure(
        toolbar_location=None,
        tools="",
        background_fill_color=None,
        border_fill_color=None,
        name=name,
        **options,
    )
    plot.outline_line_color = None
    plot.xaxis.name, plot.yaxis.name = f"{name}-x", f"{name}-y"
    plot.grid.visible = False
    return plot


def label(axis: Any, names: dict[int, str]) -> None:
    """Name an axis's places; in as many lines by turns as a narrow screen needs for the names."""
    lines = -(-sum(len(name) + 1 for name in names.values()) // NARROW)
    axis.ticker = list(names)
    axis.major_label_overrides = {
        place: "\n" * (i % lines) + name for i, (place, name) in enumerate(names.items())
    }


def legend(plot: Any, marks: dict[str, Any], columns: int = 2) -> None:
    """Say above a plot what each mark stands for; NAME-legend, for its text's color."""
    from bokeh.models import Legend, LegendItem

    items = [LegendItem(label=text, renderers=[mark]) for text, mark in marks.items()]
    plot.add_layout(
        Legend(
            items=items,
            name=f"{plot.name}-legend",
            orientation="horizontal",
            location="top_left",
            ncols=columns,
            label_text_font_size="12px",
            background_fill_color=None,
            border_line_color=None,
            margin=0,
        ),
        "above",
    )


def hover(plot: Any, tooltips: Any, *renderers: Any) -> None:
    """Tell of what is under the pointer."""
    from bokeh.models import HoverTool

    plot.add_tools(HoverTool(tooltips=tooltips, renderers=list(renderers)))


def heat(name: str, columns: int, rows: int, tooltips: Any, palette: str, **options: Any) -> Any:
    """A heat map whose first row is on top; cells have x, y, a width w, a value v, the names of row
    and column, and an edge's color."""
    from bokeh.models import FixedTicker, LinearColorMapper

    plot = blank(name, x_range=(-0.5, columns - 0.5), y_range=(rows - 0.5, -0.5), **options)
    cells = source(f"{name}-cells", "x", "y", "w", "v", "row", "column", "edge")
    low = -1 if palette == "diverging" else 0
    mapper = LinearColorMapper(
        palette=list(LIGHT), low=low, high=1, name=f"{name}-colors", tags=[palette]
    )
    fill = {"field": "v", "transform": mapper}
    drawn = plot.rect(
        "x",
        "y",
        width="w",
        height=1,
        source=cells,
        fill_color=fill,
        line_color="edge",
        line_width=1,
    )
    hover(plot, tooltips, drawn)
    plot.axis.major_tick_line_color = plot.axis.minor_tick_line_color = (
        plot.axis.axis_line_color
    ) = None
    plot.xaxis.ticker, plot.yaxis.ticker = FixedTicker(), FixedTicker()
    return plot


def _token_heat(
    report: dict[str, Any], name: str, columns: int, tooltips: Any, palette: str
) -> Any:
    """A heat map of all tokens; the page's script says where its columns are, by the screen's
    width."""
    rows = max(len(prompt["tokens"]) for prompt in report["prompts"])
    size = {"height": 60 + ROW * rows, "sizing_mode": "stretch_width", "min_border_right": 20}
    plot = heat(name, columns, rows, tooltips, palette, **size)
    plot.x_range.name = f"{name}-range"
    return plot


def stream(report: dict[str, Any]) -> Any:
    """The residual stream: a row a token, a column a coordinate, lines between subspaces."""
    tooltips = [("token", "@row"), ("coordinate", "@column"), ("value", "@v")]
    plot = _token_heat(report, "stream", len(report["columns"]), tooltips, "diverging")
    rows = plot.y_range.start
    lines = source("stream-lines", "x")
    plot.segment(x0="x", x1="x", y0=-0.5, y1=rows, source=lines, line_color=GRAY, line_width=1)
    return plot


def attention(report: dict[str, Any]) -> Any:
    """One head's attention weights: a row a query token, a column a key; what a causal mask hides
    is gray."""
    N = max(len(prompt["tokens"]) for prompt in report["prompts"])
    tooltips = [("token", "@row"), ("reads", "@column"), ("weight", "@v{0.000000}")]
    plot = _token_heat(report, "attention", N, tooltips, "sequential")
    plot.xaxis.axis_label, plot.yaxis.axis_label = "key", "query"
    mask = source("attention-mask", "y", "left", "right")
    plot.hbar(
        "y",
        left="left",
        right="right",
        height=1,
        source=mask,
        color=GRAY,
        fill_alpha=0.25,
        line_color=None,
    )
    return plot


def errors(report: dict[str, Any]) -> Any:
    """Each lemma's observed error and bound on a log axis; what is below its least number stands at
    its end."""
    from bokeh.models import ColumnDataSource

    layers = report["layers"]
    least = report["least_drawn"]
    plot = blank(
        "errors",
        height=300,
        sizing_mode="stretch_width",
        y_axis_type="log",
        y_range=(1e-9, 1.0),
        x_range=(0.5, len(layers) + 0.5),
        min_border_right=24,
    )
    plot.y_range.name = "errors-range"  # whole decades, set by the script
    label(plot.xaxis, {layer["number"]: layer["name"] for layer in layers})
    plot.axis.minor_tick_line_color = None
    plot.yaxis.axis_label = "error"
    marks = (
        ("observed", "observed error", "circle", 10, LIGHT[2], LIGHT[2]),
        ("bound", "bound", "dash", 20, GRAY, GRAY),
        ("observed-below", f"error < {least}", "inverted_triangle", 10, LIGHT[2], LIGHT[2]),
        ("bound-below", f"bound < {least}", "inverted_triangle", 10, GRAY, GRAY),
        ("current", "this layer", "circle", 18, LIGHT[2], None),
    )
    drawn = {}
    for name, text, marker, size, color, fill in marks:
        # A log axis without any data is a warning in the console: a first point, until the page's
        # script sets the real ones.
        data = ColumnDataSource(data={"x": [1], "y": [1.0]}, name=f"errors-{name}")
        drawn[text] = plot.scatter(
            "x",
            "y",
            source=data,
            marker=marker,
            size=size,
            color=color,
            line_width=2,
            fill_color=fill,
        )
    legend(plot, drawn)
    return plot
