"""Where the tasks can be seen in the stream, one view a kind of stream: a circle of codes, a task
vector, or tokens with ok = 1.

A view's frames hold the data of its plot's sources after each layer, so that the page's script need
not know what they mean.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from construct.answer import Trace
from construct.residual import Residual, task_codes
from construct.spec import Spec
from verify.explorer import plots

SIDE = 330  # pixels: the width of a telephone less its margins
MOST_TICKS = 16
MOST_LETTERS = 10

Frame = dict[str, dict[str, list[Any]]]


@dataclass(frozen=True, eq=False)
class Scene:
    """A prompt on its way: the tasks' names, the trace, the verdict, and what is said of each
    example once it is recognized."""

    spec: Spec
    names: Sequence[str]
    trace: Trace
    verdict: Any
    said: Sequence[str]

    @property
    def examples(self) -> int:
        """The number of examples m'."""
        return len(self.said)

    def by_example(self, layer: str, subspace: str) -> np.ndarray:
        """A subspace after a layer at the examples' tokens, (m', n, size)."""
        return self.trace.read(layer, subspace)[1:].reshape(self.examples + 1, self.spec.n, -1)[:-1]


@dataclass(frozen=True)
class View:
    """One way to see the tasks: the subspace that it needs, what the page says of it, its data, its
    plot.

    frame(scene, layer, committed): by source, columns; committed: the examples' ok is written.
    plot(report): without data.
    """

    subspace: str
    title: str
    note: str
    frame: Callable[[Scene, str, bool], Frame]
    plot: Callable[[dict[str, Any]], Any]


def view_of(residual: Residual) -> View:
    """The view that fits a stream: the first whose subspace it has."""
    return next(view for view in VIEWS if view.subspace in residual.names)


def _circle(scene: Scene, layer: str, committed: bool) -> Frame:
    codes = scene.by_example(layer, "z")[:, -1].astype(float)
    names = [f"y{j}: {said}" for j, said in enumerate(scene.said)]
    counted = np.flatnonzero(scene.trace.answer.recognized >= 0)
    mean = [codes[counted].mean(0).tolist()] if committed and len(counted) else []
    return {
        "points": {"x": codes[:, 0].tolist(), "y": codes[:, 1].tolist(), "name": names},
        "mean": {
            "x": [x for x, _ in mean],
            "y": [y for _, y in mean],
            "name": ["mixture of the tasks" for _ in mean],
        },
    }


def _draw_circle(report: dict[str, Any]) -> Any:
    reach = (1.85, 1.3)  # in radii: room for the names on both sides
    plot = plots.blank(
        "tasks",
        frame_width=SIDE,
        frame_height=round(SIDE * reach[1] / reach[0]),
        x_range=(-reach[0], reach[0]),
        y_range=(-reach[1], reach[1]),
    )
    plot.axis.visible = False
    plot.circle(0, 0, radius=1, fill_color=None, line_color=plots.GRAY)
    places = _draw_names(plot, [task["name"] for task in report["tasks"]], SIDE / 2 / reach[0])
    points, mean = (plots.source(f"tasks-{name}", "x", "y", "name") for name in ("points", "mean"))
    spots = plot.scatter("x", "y", source=points, size=9, color=plots.LIGHT[0], fill_alpha=0.7)
    mixture = plot.scatter("x", "y", source=mean, size=14, marker="diamond", color=plots.LIGHT[2])
    plots.hover(plot, "@name", places, spots, mixture)
    plots.legend(plot, {"a task": places, "an example": spots, "their mixture": mixture}, columns=3)
    return plot


def _draw_names(plot: Any, names: Sequence[str], radius: float) -> Any:
    """The tasks' places on the circle, of so many pixels; as many named as there is room for, on
    the outside."""
    x, y = task_codes(len(names)).T.tolist()
    pitch = 2 * np.pi * radius / len(names)
    places = plot.scatter(
        "x",
        "y",
        source={"x": x, "y": y, "name": list(names)},
        size=min(16, max(3, 0.8 * pitch)),
        marker="circle_x" if pitch > 16 else "circle",
        fill_color=None,
        line_color=plots.GRAY,
    )
    few = range(0, len(names), -(-len(names) // MOST_TICKS))
    sides = ("right", "center", "left")  # of the anchor at the left, at the middle, at the right
    plot.text(
        "x",
        "y",
        text="text",
        text_align={"field": "align"},
        source={
            "x": [1.17 * x[i] for i in few],
            "y": [1.17 * y[i] for i in few],
            "text": [_short(names[i]) for i in few],
            "align": [sides[1 + int(np.sign(round(x[i], 1)))] for i in few],
        },
        text_baseline="middle",
        text_font_size="11px",
        name="tasks-names",
    )
    return places


def _short(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"


def _posterior(scene: Scene, layer: str, committed: bool) -> Frame:
    held = scene.trace.read(layer, "omega")[-1]
    return _bars(scene, held.astype(float), scene.verdict.prevalence)


def _vector(scene: Scene, layer: str, committed: bool) -> Frame:
    return _bars(scene, scene.trace.read(layer, "w")[-1].astype(float), scene.verdict.prevalence)


def _bars(scene: Scene, held: np.ndarray, due: np.ndarray) -> Frame:
    """A bar a task, and a dash where it is due."""

    def columns(values: np.ndarray) -> dict[str, list[Any]]:
        return {
            "task": list(range(len(values))),
            "value": values.tolist(),
            "name": list(scene.names),
        }

    return {"held": columns(held), "due": columns(due)}


def _draw_posterior(report: dict[str, Any]) -> Any:
    return _draw_bars(report, "omega", "omega at the last token", "the definition's posterior")


def _draw_vector(report: dict[str, Any]) -> Any:
    return _draw_bars(report, "w", "w at the answer token", "prevalence m_i/M by the definition")


def _draw_bars(report: dict[str, Any], held_name: str, label: str, due_name: str) -> Any:
    names = [task["name"] for task in report["tasks"]]
    K = len(names)
    plot = plots.blank(
        "tasks",
        height=SIDE - 60,
        sizing_mode="stretch_width",
        max_width=520,
        x_range=(-0.6, K - 0.4),
        y_range=(0, 1.04),
    )
    plot.yaxis.axis_label = label
    plots.label(plot.xaxis, dict(list(enumerate(names))[:: -(-K // MOST_TICKS)]))
    plot.axis.minor_tick_line_color = None
    held, due = (plots.source(f"tasks-{name}", "task", "value", "name") for name in ("held", "due"))
    bars = plot.vbar(
        "task", top="value", width=0.7, source=held, fill_color=plots.LIGHT[0], line_color=None
    )
    dashes = plot.scatter(
        "task",
        "value",
        source=due,
        marker="dash",
        size=min(30, max(3, SIDE / K)),
        line_width=3,
        line_color=plots.LIGHT[2],
    )
    plots.hover(plot, [("task", "@name"), (held_name, "@value{0.000000}")], bars)
    plots.hover(plot, [("task", "@name"), (due_name, "@value{0.000000}")], dashes)
    plots.legend(plot, {label: bars, due_name: dashes}, columns=1)
    return plot


def _tokens(scene: Scene, layer: str, committed: bool) -> Frame:
    ok = scene.by_example(layer, "ok")[:, :-1, 0].astype(float)
    y, x = (axis.ravel().tolist() for axis in np.indices(ok.shape))
    marked = [
        task if held > 0.5 else -1
        for task, row in zip(scene.trace.answer.recognized, ok, strict=True)
        for held in row
    ]
    return {
        "cells": {
            "x": x,
            "y": y,
            "w": [1] * ok.size,
            "v": ok.ravel().tolist(),
            "row": [f"x{j}.{slot}" for j, slot in zip(y, x, strict=True)],
            "column": [scene.said[j] if committed else "not recognized yet" for j in y],
            "edge": [plots.GRAY] * ok.size,
            "task": ["" if task < 0 else scene.names[task] for task in marked],
        }
    }


def _draw_tokens(report: dict[str, Any]) -> Any:
    slots, rows = (
        report["parameters"]["n"] - 1,
        max(len(prompt["examples"]) for prompt in report["prompts"]),
    )
    tooltips = [("token", "@row"), ("ok", "@v{0.000000}"), ("example", "@column")]
    size = {
        "height": 60 + 20 * rows,
        "sizing_mode": "stretch_width",
        "max_width": max(SIDE, 60 * slots),
    }
    plot = plots.heat("tasks", slots, rows, tooltips, "sequential", **size)
    plot.xaxis.axis_label, plot.yaxis.axis_label = "slot", "example"
    plot.xaxis.ticker, plot.yaxis.ticker = list(range(slots)), list(range(rows))
    cells = plot.renderers[0].data_source
    cells.data["task"] = []
    plot.text(
        "x",
        "y",
        text="task",
        source=cells,
        text_align="center",
        text_baseline="middle",
        text_font_size="11px",
        name="tasks-text",
    )
    return plot


VIEWS = (
    View(
        "z",
        "Task codes",
        "every example's code on the circle",
        _circle,
        _draw_circle,
    ),
    View(
        "omega",
        "Posterior",
        "given the words said so far",
        _posterior,
        _draw_posterior,
    ),
    View(
        "w",
        "Task vector",
        "the mixture that the answer will be of",
        _vector,
        _draw_vector,
    ),
    View(
        "ok",
        "Tokens that count",
        "ok at the examples' inputs, and the task that was recognized; the answer averages these "
        "tokens",
        _tokens,
        _draw_tokens,
    ),
)
