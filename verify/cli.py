"""What the commands share: one-line errors with exit code 2, whole-number options, JSON output, a
progress bar, exit codes."""

import argparse
import gc
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO, TypeVar, cast

from verify import extras, programs

HOLDS, FAILS, BAD_REQUEST = 0, 1, 2

# How XLA's errors begin where memory does not do.
EXHAUSTED = "RESOURCE_EXHAUSTED"

T = TypeVar("T")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line on stderr and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Print one line that says what is wrong and where help is, and exit with 2."""
        self.exit(BAD_REQUEST, f"{self.prog}: {message} (see {self.prog} --help)\n")


def whole(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """An argparse type: a whole number at least `minimum`, and at most `maximum` if given."""
    wanted = f"must be a whole number >= {minimum}"
    if maximum is not None:
        wanted += f" and <= {maximum}"

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} {wanted}") from None
        if value < minimum or (maximum is not None and value > maximum):
            raise argparse.ArgumentTypeError(f"{value} {wanted}")
        return value

    return convert


def positive(text: str) -> float:
    """An argparse type: a finite number greater than 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} must be a finite number > 0")
    return value


def output(text: str) -> str:
    """An argparse type: a path that can be written, which is better known before the work than
    after it; '-' is stdout."""
    path = Path(text)
    if text != "-" and (
        path.is_dir()
        or not path.parent.is_dir()
        or not os.access(path if path.exists() else path.parent, os.W_OK)
    ):
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be written; pass a path in a folder that exists and can be written"
        )
    return text


def drawing(text: str) -> str:
    """An argparse type: a path for an SVG, that can be written."""
    if not text.endswith(".svg"):
        raise argparse.ArgumentTypeError(f"{text!r} must end in .svg, which is what is written")
    return output(text)


def folder(text: str) -> Path:
    """An argparse type: a folder that is there, or that can be made."""
    path = Path(text)
    above = next(one for one in (path, *path.absolute().parents) if one.exists())
    if not text or not above.is_dir() or not os.access(above, os.W_OK):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no folder that can be written or made; pass another one"
        )
    return path


def stem(text: str) -> str:
    """An argparse type: what a plot's files are called before .png and .svg, in a folder where they
    can be written."""
    output(f"{text}.png")
    return text


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option --json PATH, shared by all commands."""
    parser.add_argument(
        "--json",
        type=output,
        metavar="PATH",
        help="write the result as JSON to PATH; '-' is stdout, and then nothing else goes there",
    )


def finite(number: float) -> float | None:
    """A number as JSON holds it: null where it is not finite."""
    return float(number) if math.isfinite(number) else None


def write_json(report: dict[str, Any], path: str) -> None:
    """Write a report as strict JSON. Raises OSError when the path cannot be written."""
    text = json.dumps(report, indent=2, allow_nan=False) + "\n"
    if path == "-":
        sys.stdout.write(text)
    else:
        try:
            Path(path).write_text(text)
        except OSError as error:
            raise ValueError(
                f"--json {path}: {error.strerror}; pass a path in a folder that exists and can be "
                "written"
            ) from None


def read_file(path: str) -> str:
    """The text of a file. Raises ValueError that names the file when it cannot be read or is not
    UTF-8."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"FILE {path}: {error.strerror}; pass a file that exists and can be read, or '-' for "
            "stdin"
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"FILE {path}: byte {error.start} is not UTF-8; save the file as UTF-8"
        ) from None


def run(main: Callable[[], int], prog: str, *, keep_programs: bool = True) -> NoReturn:
    """Run a command: a bad or impossible request and an unwritable file are one line and exit code
    2, never a traceback. Where nobody reads on (`| head`), the work is finished all the same: the
    exit code says what holds, and files are written. What it compiles is kept for its next run. It
    ends the process; what is there by then is not collected any more."""
    # What is loaded by now stays to the end: the garbage collector need not look through it again.
    gc.freeze()
    with _outputs_may_close():
        try:
            if keep_programs:
                programs.keep()
            code = main()
        except ModuleNotFoundError as error:
            if error.name not in extras.REQUIREMENTS:
                raise  # no optional package: a fault of this program
            code = _one_line(prog, f"{error}; install: {extras.hint(error.name)}")
        except MemoryError as error:
            code = _one_line(prog, f"out of memory: {error}; ask for smaller sizes")
        except (ValueError, OSError, OverflowError) as error:
            code = _one_line(prog, error)
        except RuntimeError as error:
            if EXHAUSTED not in str(error):
                raise
            told = " ".join(str(error).split())
            code = _one_line(prog, f"out of memory: {told:.200}; ask for smaller sizes")
        except KeyboardInterrupt:
            code = _one_line(prog, "interrupted")
    # Nor through what is there at the end. Both together are a quarter of a short command's time.
    gc.freeze()
    sys.exit(code)


class _MayClose:
    """An output stream that drops what is written once its reader has gone. A tool that prints
    through it, as rich does, never sees the broken pipe, and so cannot end the process on its
    own."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or drop."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        """Flush, or drop."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        # What is left in the buffer, and all that follows, goes where it disturbs nobody.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


@contextmanager
def _outputs_may_close() -> Iterator[None]:
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, _MayClose(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def _one_line(prog: str, error: object) -> int:
    print(f"{prog}: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
    return BAD_REQUEST


def progress(items: Iterable[T], total: int, title: str) -> Iterator[T]:
    """Iterate with a progress bar on stderr, or with the time of a single item, shown while it is
    under way; neither when stderr is not a terminal."""
    if not total or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, track

    console = Console(stderr=True)
    if total > 1:
        yield from track(items, description=title, total=total, console=console)
        return
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as shown:
        shown.add_task(title)
        yield from items
