"""The command `python -m verify`: list the commands."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from verify import cli

PROG = "python -m verify"
ROOT = Path(__file__).parents[1]
# How the docstring of a command's module begins.
OPENING = re.compile(r"The command `(python -m [\w.]+)`: (.+?)(?:\n\n|$)", re.DOTALL)


class Command(NamedTuple):
    """What is typed, and what it is for."""

    typed: str
    purpose: str


def commands(root: Path = ROOT) -> Iterator[Command]:
    """The commands of a checkout or an installation: the modules that say so at their beginning and
    can be run. A package says it in __main__.py or in __init__.py."""
    for path in sorted((root / "verify").rglob("*.py"), key=_by_name):
        text = path.read_text(encoding="utf-8")
        if path.parent == root / "verify" and path.name == "__main__.py":
            continue  # this one
        if '__name__ == "__main__"' not in text:
            continue
        found = _opening(text) or _opening(path.with_name("__init__.py").read_text())
        if found:
            yield Command(found[1], _sentence(found[2]))
    if (root / "benchmarks" / "__main__.py").exists():  # only in a checkout
        yield Command(
            "python -m benchmarks", "measure speed beside other libraries; writes JSON and a plot"
        )


def _opening(text: str) -> re.Match[str] | None:
    return OPENING.match(ast.get_docstring(ast.parse(text)) or "")


def _by_name(path: Path) -> tuple[list[str], str]:
    # By module, a package's __main__ where the package is.
    name = path.parent.name if path.name == "__main__.py" else path.stem
    return [part for part in re.split(r"(\d+)", name) if part], str(path)


def _sentence(text: str) -> str:
    return " ".join(text.split()).rstrip(".").strip()


def main() -> int:
    """Print a line for each command."""
    cli.Parser(PROG, description="List the commands of this project.").parse_args()
    found = list(commands())
    for command in found:
        print(f"{command.typed}\n    {command.purpose}")
    print("\nEach lists its options with --help. Exit codes: 0 all holds, 1 something does not,")
    print("2 a bad request.")
    return cli.HOLDS if found else cli.FAILS


if __name__ == "__main__":
    cli.run(main, PROG, keep_programs=False)
