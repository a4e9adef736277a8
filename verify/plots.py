"""What the plots share: a palette that colour-blind people can tell apart, markers besides colors,
PNG and SVG."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito, Color Universal Design (2008), without the yellow that is hard to see on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = "osD^vPX"


@contextmanager
def figure(
    rows: int, columns: int, *, width: float = 4.0, height: float = 3.0
) -> Iterator[tuple["Figure", list]]:
    """A figure of rows x columns axes that needs no display and leaves matplotlib's global state as
    it was."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # A fixed salt and no date: the same numbers give the same SVG.
    with rc_context(
        {
            "svg.hashsalt": "superposed-tasks",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "font.size": 9,
        }
    ):
        drawing = Figure(figsize=(width * columns, height * rows), layout="constrained")
        yield drawing, list(drawing.subplots(rows, columns, squeeze=False).flat)


def save(drawing: "Figure", stem: str) -> list[Path]:
    """Write STEM.png and STEM.svg. Raises OSError when the folder cannot be written."""
    paths = [Path(f"{stem}.png"), Path(f"{stem}.svg")]
    drawing.savefig(paths[0], dpi=150, metadata={"Software": None})
    drawing.savefig(paths[1], metadata={"Date": None})
    return paths
