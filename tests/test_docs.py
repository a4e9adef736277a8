"""README.md, docs/ and the proofs are true: every code block runs and prints what is shown; every
command runs, or is understood where it would take minutes or the network; links lead somewhere; the
picture is what its command draws; the README is short."""

import argparse
import importlib.util
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import construct
from tests import snippets
from tests.snippets import (
    ROOT,
    Block,
    blocks,
    difference,
    execute,
    mentioned,
    pages,
    papers,
    run,
    typed,
)
from verify import worked

PAGES = {str(page.relative_to(ROOT)): page for page in pages()}
PAPERS = {str(page.relative_to(ROOT)): page for page in papers()}
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def sessions():
    for name, page in PAGES.items():
        for block in blocks(page):
            if block.kind == "console":
                for command, shown in block.commands:
                    marks = [pytest.mark.slow] if block.slow else []
                    yield pytest.param(command, shown, id=f"{name}: {command[:40]}", marks=marks)


def code():
    for name, page in PAGES.items():
        found = [block for block in blocks(page) if block.kind == "python"]
        if found:
            marks = [pytest.mark.slow] if any(block.slow for block in found) else []
            yield pytest.param(found, id=name, marks=marks)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("found", list(code()))
def test_code_prints_what_is_shown(found, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # files that a page writes
    namespace = {"__name__": "page"}
    for block in found:
        printed = run(block, namespace)
        wrong = difference(block.out or "", printed)
        assert not wrong, f"{block.page}:{block.line}\n{wrong}"


@pytest.mark.slow
@pytest.mark.parametrize(("command", "shown"), list(sessions()))
def test_a_command_prints_what_is_shown(command, shown):
    ran = execute(command)
    assert ran.returncode == 0, ran.stderr
    assert not difference(shown, ran.stdout)


# Commands that stand in lines of their own and are not run as they stand, each with the reason.
NOT_RUN = {
    "make": "sets an environment up, by the network",
    "python -m verify.bench": "an hour; tests/bench runs its methods on small subjects",
    "python -m verify.train": "hours; tests/bench trains a few steps",
    "python -m verify.cluster": "one process of several; tests/evaluate starts two",
    "python -m verify.figure2": "a minute; tests/test_figures.py draws a smaller one",
}
# What prose may name and no test can try: it needs the network.
NETWORK = ("pip install", "apt-get install", "uv pip compile", "pre-commit install")
# What stands for a number of the reader's own.
OPEN = {"N": "2", "I": "1"}


class Understood(BaseException):
    """A command has read its options and would begin its work."""


def understand(command: str, monkeypatch) -> None:
    """Whether a command is there: make knows the target, a module can be run and reads the
    options, git finds something. Nothing is begun."""
    words = shlex.split(command.removeprefix(".venv/bin/"))
    if words[0] == "make":
        known = ["make", "-n", "PYTHON=true", *words[1:]]
        ran = subprocess.run(known, cwd=ROOT, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
    elif words[:2] == ["python", "-m"]:
        _read_options(words[2], [OPEN.get(word, word) for word in words[3:]], monkeypatch)
    elif words[:2] == ["git", "ls-files"]:
        ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        assert ran.stdout, command
    else:
        assert command.startswith(NETWORK) or words[0] == "srun", command


def _read_options(module: str, options: list[str], monkeypatch) -> None:
    spec = importlib.util.find_spec(module)
    assert spec is not None, module
    if spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{module}.__main__")
        assert spec is not None, module
    text = Path(spec.origin or "").read_text()
    assert "__main__" in text or spec.name.endswith(".__main__"), f"{module} cannot be run"
    if not options:  # some commands have none, and begin at once
        return
    parse = argparse.ArgumentParser.parse_args

    def only_parse(self, *given):
        raise Understood(parse(self, *given))

    # What runs here checks annotations, which the compiled file must not: runpy would keep it under
    # the module's own name, and the command would find it there.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", only_parse)
    monkeypatch.setattr(sys, "argv", [module, *options])
    with pytest.raises(Understood):
        runpy.run_module(module, run_name="__main__")


@pytest.mark.filterwarnings("ignore:.*found in sys.modules.*:RuntimeWarning")
def test_a_command_that_was_tried_leaves_no_compiled_file(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    with monkeypatch.context() as patch:
        understand("python -m verify.figure3 --out x", patch)
    assert not list(tmp_path.rglob("figure3.cpython-???.pyc"))
    assert not sys.dont_write_bytecode


@pytest.mark.filterwarnings("ignore:.*found in sys.modules.*:RuntimeWarning")
@pytest.mark.parametrize(
    ("name", "command"), [(name, line) for name, page in PAPERS.items() for line in typed(page)]
)
def test_a_command_that_stands_alone_is_there(name, command, monkeypatch):
    understand(command, monkeypatch)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules.*:RuntimeWarning")
@pytest.mark.parametrize("name", [name for name, page in PAPERS.items() if mentioned(page)])
def test_the_commands_in_prose_are_there(name, monkeypatch):
    for command in mentioned(PAPERS[name]):
        with monkeypatch.context() as patch:
            understand(command, patch)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    sorted(
        {
            line
            for page in PAPERS.values()
            for line in typed(page)
            if not line.startswith(tuple(NOT_RUN))
        }
    ),
)
def test_a_command_that_stands_alone_runs(command, tmp_path):
    ran = execute(command, tmp_path)  # some write files
    assert ran.returncode == 0 and ran.stdout, ran.stderr


def test_no_reason_outlives_its_command():
    lines = [line for page in PAPERS.values() for line in typed(page)]
    assert all(any(line.startswith(start) for line in lines) for start in NOT_RUN)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules.*:RuntimeWarning")
@pytest.mark.parametrize(
    "command",
    [
        "make nothing-of-the-kind",
        "python -m verify.nothing",
        "python -m verify.plots",
        "python -m verify.prompt --txt a",
        "python -m verify.theorem1 --K none",
        "git ls-files '*nothing_of_the_kind*'",
        "pip uninstall numpy",
    ],
)
def test_a_command_that_is_not_there_is_seen(command, monkeypatch):
    with pytest.raises((AssertionError, SystemExit)):
        understand(command, monkeypatch)


def test_commands_are_found_wherever_they_stand(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Run `make it` or `.venv/bin/python -m that`.\n\n    make those  # why\n")
    assert mentioned(page) == [".venv/bin/python -m that", "make it"]
    assert typed(page) == ["make those"]


@pytest.mark.parametrize("name", PAPERS)
def test_every_block_is_of_a_kind_that_is_run(name):
    """Or it is text: what the block before it prints, or a drawing."""
    kinds = re.findall(r"^```(.+)$", PAPERS[name].read_text(), re.MULTILINE)
    run_by_tests = {"python", "console", "text"}
    if PAPERS[name].parent.name == "export":
        run_by_tests = {"python", "sh"}
    assert set(kinds) <= run_by_tests


@pytest.mark.parametrize("name", PAPERS)
def test_links_lead_somewhere(name):
    page = PAPERS[name]
    for target in LINK.findall(re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_readme_is_short_and_says_the_sentence_first():
    text = PAGES["README.md"].read_text()
    assert text.count("\n") <= 150
    order = ["30%", ".svg", "## Why care", "## Two commands", "## The API", "## The theorems"]
    places = [text.index(part) for part in [*order, "## Where to read on"]]
    assert places == sorted(places) and "arxiv.org/abs/2410.05603" in text


def test_the_readmes_picture_is_what_its_command_draws(tmp_path):
    from verify.families.text import read
    from verify.picture import PROMPT, draw
    from verify.prompt import ask, source, table

    drawn = draw(ask(read(source(None, PROMPT), None, table("verbs", None))))
    assert drawn == (ROOT / "docs" / "superposition.svg").read_text()
    assert f"--text '{PROMPT}'" in PAGES["README.md"].read_text()


# The comparison itself.


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("error 1.69e-08 (4.2 s)", "error 2.2e-08 (17.0 s)"),
        ("a\n...\nc", "a\nb\nb\nc"),
        ("[0.3 0.7]", "[0.30000001  0.7]"),
        ("", ""),
        ("a\n...", "a\nb"),
    ],
)
def test_alike(shown, printed):
    assert difference(shown, printed) == ""


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("0.3", "0.31"),
        ("a", "b"),
        ("a", ""),
        ("", "a"),
        ("a\n...\nc", "a\nb"),
        ("2 of 3", "2 of 4"),
        ("yes", "NO"),
    ],
)
def test_not_alike(shown, printed):
    assert difference(shown, printed)


def test_a_page_with_a_wrong_output_fails(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n")
    (block,) = blocks(page)
    assert difference(block.out or "", run(block, {})) and block.line == 1
    snippets.update(page)
    (block,) = blocks(page)
    assert block.out == "2\n"


def test_a_session_is_read_as_it_is_typed():
    block = Block(Path("page.md"), 1, "console", "$ one    # why\na\n...\n$ two --x\n", None, False)
    assert block.commands == [("one", "a\n...\n"), ("two --x", "")]
    assert os.path.isabs(execute("python -c 'import sys; print(sys.executable)'").stdout.strip())


# The project's own papers.


def test_one_version_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert construct.__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {version}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_tutorials_picture_is_what_its_command_draws():
    drawn = worked.draw(worked.example())
    assert drawn == (ROOT / "docs" / "worked.svg").read_text()
    assert "y = 1.33, 1.33" in drawn and drawn.count("ok = 1") == 6
