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

SIDE = 340
MOST_TICKS = 16

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
    plot = plots.blank(
        "tasks", width=SIDE, height=SIDE, x_range=(-1.45, 1.45), y_range=(-1.45, 1.45)
    )
    plot.axis.visible = False
    plot.circle(0, 0, radius=1, fill_color=None, line_color=plots.GRAY)
    names = [task["name"] for task in report["tasks"]]
    x, y = task_codes(len(names)).T.tolist()
    plot.scatter(x, y, size=16, marker="circle_x", fill_color=None, line_color=plots.GRAY)
    plot.text(
        x, y, text=names, text_font_size="11px", text_color=plots.GRAY, x_offset=12, y_offset=-6
    )
    points, mean = (plots.source(f"tasks-{name}", "x", "y", "name") for name in ("points", "mean"))
    spots = plot.scatter("x", "y", source=points, size=9, color=plots.LIGHT[0], fill_alpha=0.7)
    mixture = plot.scatter("x", "y", source=mean, size=14, marker="diamond", color=plots.LIGHT[2])
    plots.hover(plot, "@name", spots, mixture)
    return plot


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
    return _draw_bars(report, "omega", "omega at the last token", "posterior")


def _draw_vector(report: dict[str, Any]) -> Any:
    return _draw_bars(report, "w", "w at the answer token", "prevalence")


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
        "task", "value", source=due, marker="dash", size=30, line_width=3, line_color=plots.LIGHT[2]
    )
    plots.hover(plot, [("task", "@name"), (held_name, "@value{0.000000}")], bars)
    plots.hover(plot, [("task", "@name"), (due_name, "@value{0.000000}")], dashes)
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
        "every example's code on the circle; the diamond is their mixture",
        _circle,
        _draw_circle,
    ),
    View(
        "omega",
        "Posterior",
        "omega at the last token; the dashes are the definition's, given the words said so far",
        _posterior,
        _draw_posterior,
    ),
    View(
        "w",
        "Task vector",
        "w at the answer token; the dashes are the prevalences m_i/M by the definition",
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
