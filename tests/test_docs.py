"""README.md and docs/ are true: every code block and command runs, and prints what is shown; links
lead somewhere; the picture is what its command draws; the README is short."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import construct
from tests import snippets
from tests.snippets import ROOT, Block, blocks, difference, execute, pages, run, typed
from verify import worked
from verify.__main__ import commands

PAGES = {str(page.relative_to(ROOT)): page for page in pages()}
MAKE = re.compile(r"make ([\w-]+)")
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


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("found", list(code()))
def test_code_prints_what_is_shown(found, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # files that a page writes
    namespace = {"__name__": "page"}
    for block in found:
        printed = run(block, namespace)
        wrong = difference(block.out or "", printed)
        assert not wrong, f"{block.page}:{block.line}\n{wrong}"


@pytest.mark.parametrize(("command", "shown"), list(sessions()))
def test_a_command_prints_what_is_shown(command, shown):
    ran = execute(command)
    assert ran.returncode == 0, ran.stderr
    assert not difference(shown, ran.stdout)


@pytest.mark.parametrize(
    ("name", "command"), [(name, line) for name, page in PAGES.items() for line in typed(page)]
)
def test_a_command_that_stands_alone(name, command):
    """Make knows the target; a module's options are understood; the notebook is run by its own
    test."""
    if found := MAKE.match(command):
        known = ["make", "-n", "PYTHON=true", found[1]]
        ran = subprocess.run(known, cwd=ROOT, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
    elif found := re.match(r"python -m (verify[\w.]*|benchmarks[\w.]*)", command):
        listed = {one.typed for one in commands()}
        assert f"python -m {found[1]}" in listed | {"python -m benchmarks.device"}, command
        flags = set(re.findall(r"(?<= )--[\w-]+", command))
        if flags:
            ran = subprocess.run(
                [sys.executable, "-m", found[1], "--help"], cwd=ROOT, capture_output=True, text=True
            )
            assert flags <= set(re.findall(r"--[\w-]+", ran.stdout)), command
    else:
        assert command.split()[0] in ("jupyter", "git", "pip", "srun"), command


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    page = PAGES[name]
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
