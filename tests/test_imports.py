"""The floors of the house: imports run construct <- proofs <- verify, and construct/ needs nothing
but the numerics."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {
    "construct": {"construct", "numpy", "jax", "flax", "jaxtyping"},
    "proofs": {"construct", "proofs", "numpy", "jax", "flax", "jaxtyping"},
}


def imports(tree: ast.AST) -> set[str]:
    """The top-level names that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add((node.module or "").partition(".")[0])
    return names


def sources(*folders: str) -> list[Path]:
    """The Python files under these folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def strangers(floor: str, source: str) -> set[str]:
    """What a source on this floor imports and must not."""
    return imports(ast.parse(source)) - FLOORS[floor] - set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    "path", sources("construct", "proofs"), ids=lambda path: str(path.relative_to(ROOT))
)
def test_imports_run_one_way(path):
    assert strangers(path.relative_to(ROOT).parts[0], path.read_text()) == set()


@pytest.mark.parametrize(
    ("floor", "source"),
    [
        ("construct", "from proofs import theorem1"),
        ("construct", "def f():\n    import rich"),
        ("proofs", "import verify.oracle"),
    ],
)
def test_a_wrong_import_is_seen(floor, source):
    assert strangers(floor, source)


def test_the_oracle_shares_no_code_with_the_layers():
    tree = ast.parse((ROOT / "verify/oracle.py").read_text())
    modules = {
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("construct")
    }
    assert modules == {"construct"}
    assert not {"build", "Transformer"} & {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize(
    "layer", ["lift", "pair", "recognize", "commit", "fetch", "execute", "superpose"]
)
def test_one_lemma_one_stem_on_every_floor(layer):
    stems = {path.stem for path in sources("construct/theorem1") if path.stem.endswith(f"_{layer}")}
    assert len(stems) == 1
    stem = stems.pop()
    for path in (
        f"proofs/theorem1/{stem}.py",
        f"verify/theorem1/{stem}.py",
        f"tests/theorem1/test_{stem}.py",
    ):
        assert (ROOT / path).is_file()


def test_no_absolute_path_is_left_in_the_tree():
    absolute = re.compile(r"[\"'\s(=](?:/home/|/root/|/Users/|/work/|/workspace/)\w")
    folders = ("construct", "proofs", "verify", "tests", "benchmarks", ".ci")
    paths = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".md", ""} and path.is_file()
    ]
    paths += [
        path
        for path in ROOT.glob("*")
        if path.is_file() and path.suffix in {".toml", ".md", ".lock", ""} and path.name != ".git"
    ]
    found = [path for path in paths if absolute.search(path.read_text()) and path != Path(__file__)]
    assert not found
    assert absolute.search("see /home/someone")
