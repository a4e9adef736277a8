"""Drawings for pages: SVG with the colors of a light page and, where the reader's browser asks for
it, of a dark one."""

from collections.abc import Sequence
from html import escape

STYLE = """
  text { font: 15px system-ui, sans-serif; fill: #1f2328 }
  .head { font-weight: 600 }
  .soft { fill: #57606a; font-size: 13px }
  .word { font-family: ui-monospace, monospace; font-size: 14px }
  .cell { font-size: 12px }
  .page { fill: #ffffff; stroke: #d0d7de }
  .box { fill: #f6f8fa; stroke: #8c959f }
  .task0 { fill: #b45000 } .task1 { fill: #005f99 }
  .arrow { stroke: #57606a; stroke-width: 2; fill: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .soft { fill: #9da7b3 }
    .page { fill: #0d1117; stroke: #3d444d } .box { fill: #161b22; stroke: #6e7681 }
    .task0 { fill: #ffa657 } .task1 { fill: #79c0ff } .arrow { stroke: #9da7b3 }
  }
"""


def page(title: str, width: float, height: float, parts: Sequence[str]) -> str:
    """A drawing on a framed ground. title: what it shows, for who cannot see it."""
    frame = f'<rect class="page" x="1" y="1" width="{width - 2}" height="{height - 2}" rx="8"/>'
    body = "\n".join(f"  {part}" for part in (frame, *parts))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-labelledby="title">\n<title id="title">{escape(title, quote=False)}</title>\n'
        f"<style>{STYLE}</style>\n{body}\n</svg>\n"
    )


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """Words at a place; kind: their classes in the style."""
    kind = f' class="{kind}"' if kind else ""
    return f'<text{kind} x="{x:g}" y="{y:g}">{escape(words)}</text>'
