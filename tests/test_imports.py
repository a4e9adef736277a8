"""The floors of the house: imports run construct <- proofs <- verify, in construct/ weights <-
evaluators <- model, and nowhere in a circle; construct/ needs nothing but the numerics."""

import ast
import re
import sys
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from construct import Spec
from verify.theorem import ALL, Theorem

ROOT = Path(__file__).parent.parent
NUMERICS = {"numpy", "jax", "flax", "jaxtyping"}
# safetensors: in construct/saved.py, and only when a model is saved or loaded.
FLOORS = {
    "construct": {"construct", "safetensors"} | NUMERICS,
    "proofs": {"construct", "proofs"} | NUMERICS,
}
SPEC = Spec(K=2, d=3, m=4, n=3, margin=1.0, radius=1.0, weight_norm=1.0)

Graph = Mapping[str, set[str]]


def sources(*folders: str) -> list[Path]:
    """The Python files under these folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def names_in(source: str) -> set[str]:
    """What a module imports, anywhere in it and under TYPE_CHECKING too, by full name."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages_around(module: str) -> list[str]:
    """The packages that a module lies in: importing it runs them."""
    parts = module.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def graph(sources: Mapping[str, str]) -> Graph:
    """By module, the modules that it imports, and the packages that these lie in and it does
    not."""

    def module_of(name: str) -> str:
        return next((one for one in [name, *packages_around(name)[::-1]] if one in sources), "")

    edges = {}
    for name, source in sources.items():
        direct = {module_of(one) for one in names_in(source)} - {""}
        around = {package for one in direct for package in packages_around(one)}
        edges[name] = (direct | (around - set(packages_around(name)))) - {name}
    return edges


def circle(edges: Graph) -> list[str]:
    """A circle of imports; empty if there is none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def upward(edges: Graph) -> list[tuple[str, str]]:
    """In construct/, the imports of something that stands higher."""
    return [
        (name, one)
        for name, imported in edges.items()
        for one in imported
        if name.startswith("construct") and floor(name) < floor(one)
    ]


def floor(module: str) -> int:
    """0: weights and what they are made of. 1: evaluators. 2: the model. 3: what builds, names
    and exports models."""
    names = r"construct\.(theorem\d+(\.vectors)?|(families|export)(\..*)?|truth)"
    if module == "construct" or re.fullmatch(names, module):
        return 3
    if module in ("construct.model", "construct.generator", "construct.vector_generator"):
        return 2
    return int(module.startswith("construct.evaluate"))


OWN = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(
        ".__init__"
    ): path.read_text()
    for path in sources("construct", "proofs", "verify", "benchmarks")
}


def test_no_imports_form_a_circle():
    assert circle(graph(OWN)) == []


def test_weights_below_evaluators_between_the_model_on_top():
    assert upward(graph(OWN)) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("construct.checks", "from construct.residual import Residual"),
        ("construct.layers", "def f():\n    import construct.evaluate.dense"),
        (
            "construct.readout",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
            "    from construct.layers import Stack",
        ),
        ("verify.record", "from verify.theorem import ALL"),
        ("verify.theorem1.layer1_lift", "from verify import theorem1"),
        ("proofs.selection", "from proofs.theorem1 import layer1_lift"),
    ],
)
def test_a_circle_is_seen(module, line):
    found = circle(graph(OWN | {module: f"{OWN[module]}\n{line}\n"}))
    assert module in found


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("construct.theorem2.readout", "import construct.evaluate"),
        ("construct.theorem1.layer1_lift", "from construct.evaluate.supports import TABLE"),
        ("construct.evaluate.dense", "from construct.model import Transformer"),
        ("construct.answer", "from construct.theorem1 import build"),
        ("construct.roles", "from construct import Prompt"),
    ],
)
def test_an_import_of_something_higher_is_seen(module, line):
    found = upward(graph(OWN | {module: f"{OWN[module]}\n{line}\n"}))
    assert module in {name for name, _ in found}


def strangers(floor: str, source: str) -> set[str]:
    """What a source on this floor imports and must not."""
    tops = {name.partition(".")[0] for name in names_in(source)}
    return tops - FLOORS[floor] - set(sys.stdlib_module_names)


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


@pytest.mark.parametrize(
    ("oracle", "types"),
    [
        ("verify.oracle", {"construct.FeatureMap", "construct.Prompt", "construct.Task"}),
        (
            "verify.theorem4.definition",
            {"construct.words.WordPrompt", "construct.words.WordTask"},
        ),
    ],
)
def test_the_oracles_share_no_code_with_the_layers(oracle, types):
    own = {
        name for name in names_in(OWN[oracle]) if name.startswith(("construct", "proofs", "verify"))
    }
    assert own == types


FOLDERS = (("construct", ""), ("proofs", ""), ("verify", ""), ("tests", "test_"))


def stems(theorem: Theorem) -> list[str]:
    """The stem of each layer, as the modules of its weights are called."""
    return [module.__name__.rpartition(".")[2] for module in theorem.layers]


def missing(theorem: Theorem, root: Path) -> list[str]:
    """The files that a theorem's layers lack: each has weights, a bound, a check and tests, all by
    one stem; and the stems that are none of its layers, or stand out of order."""
    number = theorem.number
    files = [
        f"{folder}/theorem{number}/{prefix}{stem}.py"
        for stem in stems(theorem)
        for folder, prefix in (
            ("construct", ""),
            ("proofs", ""),
            ("verify", ""),
            ("tests", "test_"),
        )
    ]
    strays = {
        path.relative_to(root).as_posix()
        for folder, _ in FOLDERS
        for path in (root / folder / f"theorem{number}").glob("*layer*_*.py")
    } - set(files)
    return [file for file in files if not (root / file).is_file()] + sorted(strays)


@pytest.mark.parametrize("theorem", ALL.values(), ids=lambda theorem: f"theorem{theorem.number}")
def test_one_lemma_one_stem_on_every_floor(theorem):
    assert missing(theorem, ROOT) == []
    names = [name for name, _ in theorem.derive(SPEC).score_error]
    assert stems(theorem) == [f"layer{i}_{name}" for i, name in enumerate(names, 1)]
    for package, modules in (
        ("construct", theorem.layers),
        ("proofs", theorem.lemmas),
        ("verify", theorem.checks),
    ):
        assert [module.__name__ for module in modules] == [
            f"{package}.theorem{theorem.number}.{stem}" for stem in stems(theorem)
        ]


@pytest.mark.parametrize("folder", [folder for folder, _ in FOLDERS])
def test_a_missing_or_stray_file_is_seen(tmp_path, folder):
    theorem = ALL[3]
    files = missing(theorem, tmp_path)
    assert len(files) == 4 * len(theorem.layers), "nothing is there yet"
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert missing(theorem, tmp_path) == []
    lost = tmp_path / next(file for file in files if file.startswith(folder))
    lost.rename(lost.with_stem(f"{lost.stem}_old"))
    assert len(missing(theorem, tmp_path)) == 2


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
