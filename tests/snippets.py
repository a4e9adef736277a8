"""The code blocks and commands that the project's pages show, run as they stand.

A block of `python` runs in the namespace of its page, in order; a `text` block right after it is
what it prints. A block of `console` holds commands after `$ ` and what they print; a line `...`
stands for lines left out. An indented block may hold commands as well, and so may prose, `between
backticks`. `<!-- slow -->` before a
block: it takes more than a few seconds. `python -m tests.snippets PAGE...` writes what is printed
into the pages.
"""

import argparse
import contextlib
import io
import math
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FENCE = re.compile(
    r"(?P<slow><!-- slow -->\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$"
    r"(?:\n\n^```text\n(?P<out>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
PROGRAM = r"(?=(?:\.venv/bin/)?(?:make|python|pip|jupyter|git|srun|pre-commit|apt-get|uv|coqc) )"
INDENTED = re.compile(rf"^    {PROGRAM}(.*)$", re.MULTILINE)
INLINE = re.compile(rf"(?<!`)`{PROGRAM}([^`\n]+)`(?!`)")
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.])", re.IGNORECASE)
# Two numbers are alike within what another processor's rounding changes, and no more.
RELATIVE, ABSOLUTE = 1e-3, 1e-5
LEFT_OUT = "..."


@dataclass(frozen=True)
class Block:
    """A block of a page. body: code, or lines of a session. out: what it prints, None if nothing is
    shown. line: where it begins."""

    page: Path
    line: int
    kind: str
    body: str
    out: str | None
    slow: bool

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Of a session: each command, and what it prints."""
        found: list[tuple[str, str]] = []
        for line in self.body.splitlines():
            if line.startswith("$ "):
                found.append((line[2:].partition("    #")[0].strip(), ""))
            else:
                command, out = found.pop()
                found.append((command, out + line + "\n"))
        return found


def pages() -> list[Path]:
    """README.md and the pages of docs/, but for those of other tools, which run where those are:
    `make test-export`."""
    found = sorted((ROOT / "docs").rglob("*.md"))
    return [ROOT / "README.md", *(page for page in found if page.parent.name != "export")]


def papers() -> list[Path]:
    """All pages that people read: those, those of other tools, the proofs, and the project's own
    papers."""
    borrowed = sorted((ROOT / "proofs").rglob("*.md")) + sorted((ROOT / "docs/export").glob("*.md"))
    return [*pages(), *borrowed, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page that are run, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start()) + 1,
            found["kind"],
            found["body"],
            found["out"],
            bool(found["slow"]),
        )
        for found in FENCE.finditer(text)
        if found["kind"] in ("python", "console")
    ]


def typed(page: Path) -> list[str]:
    """The commands of a page that stand alone, in indented lines."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [
        line.partition("    #")[0].partition("  #")[0].strip() for line in INDENTED.findall(text)
    ]


def mentioned(page: Path) -> list[str]:
    """The commands in a page's prose."""
    return sorted(set(INLINE.findall(FENCE.sub("", page.read_text(encoding="utf-8")))))


def run(block: Block, namespace: dict) -> str:
    """Run a block of Python in the namespace of its page; returns what it prints."""
    out = io.StringIO()
    code = compile("\n" * block.line + block.body, str(block.page), "exec")
    with contextlib.redirect_stdout(out):
        exec(code, namespace)
    return out.getvalue()


def execute(command: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a command of a session, by the Python that runs the tests; files are written into the
    folder."""
    words = shlex.split(command)
    if words[0] in ("python", ".venv/bin/python"):
        words[0] = sys.executable
    elif words[0] == "make" and re.fullmatch(r"theorem\d", words[1]):
        # As the Makefile has it, without its virtual environment.
        words = [sys.executable, "-m", f"verify.{words[1]}", "--K", "4", "--d", "16"]
    found = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(words, cwd=folder, env=found, capture_output=True, text=True, timeout=300)


def difference(shown: str, printed: str) -> str:
    """Why what a page shows is not what is printed; empty if it is. Blanks do not count; numbers
    may differ by rounding, and seconds by anything."""
    want, have = _lines(shown), _lines(printed)
    place = 0
    skipping = False
    for line in want:
        if line == LEFT_OUT:
            skipping = True
            continue
        while skipping and place < len(have) and not _alike(line, have[place]):
            place += 1
        if place == len(have) or not _alike(line, have[place]):
            seen = have[place] if place < len(have) else "the end"
            return f"shown: {line!r}\nprinted: {seen!r}"
        place, skipping = place + 1, False
    if place < len(have) and not skipping:
        return f"printed, and not shown: {have[place]!r}"
    return ""


def _lines(text: str) -> list[str]:
    text = re.sub(r"\(?\d+\.\d+ s\)?", "(seconds)", text)
    return [line for line in (" ".join(row.split()) for row in text.splitlines()) if line]


def _alike(shown: str, printed: str) -> bool:
    if NUMBER.sub("#", shown).replace(" ", "") != NUMBER.sub("#", printed).replace(" ", ""):
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    return all(
        math.isclose(float(a), float(b), rel_tol=RELATIVE, abs_tol=ABSOLUTE) for a, b in pairs
    )


def update(page: Path) -> None:
    """Write what the Python blocks of a page print below them."""
    namespace: dict = {}

    def again(found: re.Match[str]) -> str:
        if found["kind"] != "python":
            return found[0]
        block = Block(page, 1, "python", found["body"], None, False)
        out = "\n".join(line.rstrip() for line in run(block, namespace).splitlines())
        below = f"\n\n```text\n{out}\n```" if out else ""
        return f"{found['slow'] or ''}```python\n{found['body']}```{below}"

    page.write_text(FENCE.sub(again, page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.snippets", description="Write what the blocks of pages print."
    )
    parser.add_argument("pages", nargs="+", metavar="PAGE", help="the Markdown files")
    for name in parser.parse_args().pages:
        update(Path(name))
        print(f"wrote {name}")
