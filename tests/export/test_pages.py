"""Every code block of the pages in docs/export runs, in order, in a folder of its own."""

import re
import shlex
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

PAGES = sorted((Path(__file__).parents[2] / "docs" / "export").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = {"huggingface": "circuitsvis", "transformerlens": "transformer_lens", "nnsight": "nnsight"}


def blocks(text: str) -> list[tuple[str, str]]:
    return BLOCK.findall(text)


def run(text: str, monkeypatch) -> None:
    """Run a page's blocks: Python in one namespace, a command in this process."""
    from verify.export.__main__ import main

    names: dict[str, object] = {"__name__": "page"}
    for i, (kind, code) in enumerate(blocks(text)):
        if kind == "sh":
            _, _, module, *options = shlex.split(code)
            assert module == "verify.export"
            monkeypatch.setattr(sys, "argv", [module, *options])
            assert main() == 0
        else:
            assert kind == "python"
            # nnsight reads the source of the code that runs, once by its path.
            path = Path(f"block{i}.py").resolve()
            path.write_text(code)
            exec(compile(code, str(path), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.filterwarnings("ignore")
def test_a_page_runs(page, tmp_path, monkeypatch):
    pytest.importorskip(NEEDS[page.stem])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    run(page.read_text(), monkeypatch)


def test_a_page_that_is_wrong_is_seen(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError):
        run("```python\nassert 1 == 2\n```\n", monkeypatch)


def test_all_pages_are_found():
    assert {page.stem for page in PAGES} == set(NEEDS)
    assert all(blocks(page.read_text()) for page in PAGES)
