"""Tasks from a table: answers are a dictionary's lookups in superposition, blanks say nothing,
every fault is named by its line, and the shipped tables work under every theorem."""

import csv
import dataclasses
import io
import json
import math
import sys
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from construct.families import from_table
from construct.families.columns import tabulate
from construct.families.family import SILENT
from construct.families.table import Table
from verify import cli, prompt
from verify.families import tables
from verify.families.text import read
from verify.oracle import features_of, fill, judge
from verify.prompt import ask, theorem_of

INPUTS, ANSWERS = "abcdef", "ABCDEF"
M = 8


@st.composite
def random_tables(draw, columns=1, size=6):
    """A table of `size` rows and two or three tasks, with blanks, as a dictionary by the inputs."""
    words = st.tuples(*[st.sampled_from(INPUTS[: 6 // columns])] * columns)
    K = draw(st.integers(2, 3)) if size is None else 3
    count = size or draw(st.integers(1, 4))
    keys = draw(st.lists(words, min_size=count, max_size=count, unique=True))
    answers = st.lists(st.sampled_from(["", *ANSWERS]), min_size=K, max_size=K)
    rows = {key: draw(answers) for key in keys}
    tasks = list(zip(*rows.values(), strict=True))
    assume(len(set(tasks)) == K and all(any(task) for task in tasks))
    return rows


def opened(rows):
    """The family of such a table, through the columns that a person would pass."""
    width, K = len(next(iter(rows))), len(next(iter(rows.values())))
    columns = {f"in{i}": [words[i] for words in rows] for i in range(width)}
    columns |= {f"task{i}": [answers[i] for answers in rows.values()] for i in range(K)}
    return from_table(columns, inputs=[f"in{i}" for i in range(width)])


def draw_examples(data, rows, ambiguous=True):
    """Examples whose labels are some task's answer or noise, and a query."""
    known = sorted({answer for answers in rows.values() for answer in answers if answer})
    labels = st.sampled_from(known)
    examples = []
    for _ in range(M):
        words = data.draw(st.sampled_from(list(rows)))
        label = data.draw(st.sampled_from([a for a in rows[words] if a] or known) | labels)
        if ambiguous or rows[words].count(label) < 2:
            examples.append((words, label))
    assume(examples)
    return examples, data.draw(st.sampled_from(list(rows)))


def mixture(rows, examples, query):
    """By word, its probability: from the table as a dictionary, and from nothing else."""
    counted = [
        rows[words].index(label) for words, label in examples if rows[words].count(label) == 1
    ]
    said = Counter(rows[query][task] or SILENT for task in counted)
    return {word: count / len(counted) for word, count in said.items()}


@given(st.integers(1, 3).flatmap(lambda k: random_tables(k, size=None)), st.data())
@settings(max_examples=60, deadline=None)
def test_a_random_table_s_tasks_are_lookups(rows, data):
    family = opened(rows)
    examples, query = draw_examples(data, rows)
    asked = family.prompt(examples, query)
    verdict = judge(family.tasks, asked, 0.0, math.sqrt(2), family.feature_map, family.sum_slot)
    residuals = verdict.residuals
    assert (np.minimum(residuals, abs(residuals - math.sqrt(2))) < 1e-12).all()
    expected = mixture(rows, examples, query)
    for word, place in family.coordinate.items():
        assert verdict.vector[place] == pytest.approx(expected.get(word, 0), abs=1e-12)
    assert family.answers(query) == tuple(answer or SILENT for answer in rows[query])
    # On every row, a task's output is a word, also where it says nothing; nowhere is it longer.
    inputs = np.stack([family.vectors(family.layout(words)) for words in rows])
    features = features_of(family.feature_map, fill(inputs, family.sum_slot))
    for i, task in enumerate(family.tasks):
        out = features @ task.weight.T
        wanted = family.vectors(answers[i] or SILENT for answers in rows.values())
        np.testing.assert_array_equal(out[:, task.slot], wanted)
        assert np.linalg.norm(out, axis=-1).max() <= family.radius


def check_transformer(rows, data, number):
    """Ask a theorem's transformer of a random table and hold the answer against lookups."""
    family, theorem = opened(rows), theorem_of(number)
    tokens = [f"in{i}:  {w}" for i in (0, 1) for w in "abc"] if family.sum_slot else INPUTS
    # One width for all tables, so that one program answers them all.
    family = dataclasses.replace(family, vocabulary=(*tokens, *ANSWERS, SILENT))
    examples, query = draw_examples(data, rows, theorem.ambiguity)
    spec, asked = family.spec(M), family.prompt(examples, query)
    answer = theorem.build(spec, family.tasks, family.feature_map)(asked)
    expected = mixture(rows, examples, query)
    wanted = np.array([expected.get(word, 0) for word in family.vocabulary])
    assert np.abs(answer.vector - wanted).max() <= theorem.proof.error_bound(spec, asked.tokens)
    assert answer.vector.sum() == pytest.approx(1 if expected else 0, abs=1e-3)


@pytest.mark.parametrize("number", [1, 2, 3])
@given(rows=random_tables(), data=st.data())
@settings(max_examples=8, deadline=None)
def test_a_random_table_with_blanks_is_held_by_every_theorem(number, rows, data):
    check_transformer(rows, data, number)


@given(rows=random_tables(columns=2), data=st.data())
@settings(max_examples=8, deadline=None)
def test_several_columns_of_inputs_are_held_by_theorem_1(rows, data):
    check_transformer(rows, data, 1)


@pytest.mark.parametrize("number", [2, 3])
def test_several_columns_of_inputs_are_refused_by_name_elsewhere(number):
    family = from_table({"a": [1, 1], "b": [1, 2], "t": ["x", "y"]}, inputs=["a", "b"])
    with pytest.raises(ValueError, match=r"sum_slot|features"):
        theorem_of(number).build(family.spec(2), family.tasks, family.feature_map)


# Reading tables.

CELL = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=5)


@given(
    st.lists(CELL.filter(lambda word: "->" not in word), min_size=1, max_size=5, unique=True),
    st.data(),
)
@settings(deadline=None)
def test_a_table_is_read_back_from_every_format(tmp_path_factory, words, data):
    answers = data.draw(
        st.lists(
            st.tuples(st.just("") | CELL, st.just("") | CELL),
            min_size=len(words),
            max_size=len(words),
        )
    )
    columns = list(zip(*answers, strict=True))
    assume(all(map(any, columns)) and columns[0] != columns[1])
    rows = {(word,): pair for word, pair in zip(words, answers, strict=True)}
    header, folder = ["in", "t, 1", "t2"], tmp_path_factory.mktemp("tables")
    lists = [[word, *pair] for (word,), pair in rows.items()]
    for suffix, delimiter in ((".csv", ","), (".tsv", "\t")):
        out = io.StringIO()
        csv.writer(out, delimiter=delimiter).writerows([header, *lists])
        (folder / f"t{suffix}").write_bytes(b"\xef\xbb\xbf" + out.getvalue().encode())
    objects = [dict(zip(header, row, strict=True)) for row in lists]
    (folder / "objects.json").write_text(json.dumps(objects, indent=1))
    turned = {title: [row[i] for row in lists] for i, title in enumerate(header)}
    (folder / "columns.json").write_text(json.dumps(turned))
    for file in sorted(folder.iterdir()):
        table = tables.load(str(file))
        assert (table.inputs, table.tasks) == (("in",), ("t, 1", "t2"))
        assert table.rows == rows


@pytest.mark.parametrize(
    ("file", "text", "wanted"),
    [
        ("t.csv", "a,b\nx,1\n\ny,2\nx,1\n", "t.csv, line 5 = 'x': stands in line 2 already, with "
         "the same answers; remove one"),
        ("t.csv", "a,b\nx,1\nx,2\n", "t.csv, line 3 = 'x': stands in line 2 already, with other "
         "answers, which is ambiguous"),
        ("t.csv", "a,b\nx,1\ny\n", "t.csv, line 3 = 1 cells: must be 2, one for each of a, b"),
        ("t.csv", "a,b\nx,1\ny,2,3\n", "t.csv, line 3 = 3 cells"),
        ("t.csv", "a,b\n ,1\n", "t.csv, line 2 = a blank 'a': must name its input"),
        ("t.csv", 'a,b\n"x\ny",1\nz,"2"3\n', "t.csv, line 4 = no row"),
        ("t.csv", 'a,b\nx,"1\n', "t.csv, line 2 = no row: unexpected end of data"),
        ("t.csv", "a;b\nx;1\n", "t.csv, line 1 = 'a;b': must name the columns, separated by comma"),
        ("t.csv", "a,a\nx,1\n", "t.csv, column 2 = 'a': must have a name of its own"),
        ("t.csv", "a,\nx,1\n", "t.csv, column 2 = '': must have a name of its own"),
        ("t.csv", "a\nx\n", "t.csv, columns = a: must hold a task beside the inputs"),
        ("t.csv", "", "t.csv, columns = none"),
        ("t.csv", "a,b\n", "t.csv, rows = none"),
        ("t.csv", "a,b,c\nx,,1\n", "t.csv, column 'b' = blank: must hold an answer"),
        ("t.csv", "a,b,c\nx,1,1\ny,,\n", "t.csv, column 'c' = equal to column 'b'"),
        ("t.csv", "a,b\nx->,1\n", "t.csv, line 2 = 'x->': an input must not hold '->'"),
        ("t.csv", b"a,b\nx,1\n\xff,2\n", "t.csv, line 3 = bytes: must be UTF-8"),
        ("t.tsv", "a\tb\nx\t1\t2\n", "t.tsv, line 2 = 3 cells"),
        ("t.json", '[{"a": "x", "b": 1},\n{"a": "x", "b": 2}]', "t.json, line 2 = 'x': stands in "
         "line 1"),
        ("t.json", '[{"a": "x", "b": 1},\n{"a": "y", "c": 2}]', "t.json, line 2 = 'c': must be one "
         "of a, b"),
        ("t.json", '[{"a": "x", "b": 1},\n3]', "t.json, line 2 = 3: must be an object"),
        ("t.json", '[{"a": "x", "b": 1},\n{"a": "y" "b": 2}]', "t.json, line 2 = no JSON: Expec"),
        ("t.json", '[{"a": "x",\n "b": [1]}]', "t.json, line 1 = a list: must be a word or a numb"),
        ("t.json", '{"a": ["x"], "b": ["1"], "a": ["z"]}', "t.json = 'a': must stand once"),
        ("t.json", '{"a": ["x", "y"], "b": ["1"]}', "a: 2 cells, b: 1 cells: columns must be of"),
        ("t.json", '{"a": ["x", "x"], "b": [1, 2]}', "t.json, row 2 = 'x': stands in row 1"),
        ("t.json", '"a"', "must be an array of objects or an object of arrays"),
        ("t.json", "[]", "t.json, columns = none"),
        ("t.xlsx", "", "must be one of verbs, adjectives, dictionary, or a file that ends in"),
    ],
)  # fmt: skip
def test_every_malformed_table_is_named_by_line(file, text, wanted, tmp_path):
    (tmp_path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"^[^\n]*$") as refused:
        tables.load(str(tmp_path / file))
    assert wanted in str(refused.value)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"nowhere\.csv: No such file or directory"):
        tables.load("/nowhere.csv")


class Series:
    """A column as pandas has it: no sequence, but it iterates over its cells."""

    def __init__(self, cells):
        self.cells = cells

    def __iter__(self):
        return iter(self.cells)


class NA:
    """pandas' missing value: whether it differs from itself, it does not say."""

    def __ne__(self, other):
        return self

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")

    __hash__ = None


class Frame:
    """What from_table uses of a DataFrame."""

    def __init__(self, columns):
        self.columns = columns

    def keys(self):
        return iter(self.columns)

    def __getitem__(self, name):
        return Series(self.columns[name])


def test_a_data_frame_is_a_table():
    columns = {
        "n": [np.int64(1), 2.0, "  three\t "],
        "next": [np.float64(2), math.nan, "four"],
        "half": [np.float32(0.5), None, NA()],
    }
    family = from_table(Frame(columns), name="numbers")
    assert family.name == "numbers" and family.names == ("next", "half")
    assert [family.answers((word,)) for word in ("1", "2", "three")] == [
        ("2", "0.5"),
        (SILENT, SILENT),
        ("four", SILENT),
    ]
    assert family.vocabulary == ("1", "2", "three", "0.5", "four", SILENT)


@pytest.mark.parametrize(
    ("columns", "inputs", "wanted"),
    [
        ("abc", None, "columns = a str: must map the names"),
        ([["x", "y"]], None, "columns = a list: must map the names"),
        ({"a": "xy", "b": ["1", "2"]}, None, r"columns\['a'\] = a str: must be a sequence"),
        ({"a": 3, "b": ["1", "2"]}, None, r"columns\['a'\] = a int: must be a sequence"),
        ({"a": ["x", "y"], "b": ["1"]}, None, r"columns\['b'\] = 1 cells: must be 2"),
        ({"a": ["x", "x"], "b": ["1", "2"]}, None, "table, row 2 = 'x': stands in row 1 already"),
        ({"a": ["x"], "b": [np.ones(2)]}, None, "table, row 1 = a ndarray: must be a word"),
        ({"a": ["x"], "b": ["1"]}, "c", "inputs = 'c': must be columns of table"),
        ({"a": ["x"], "b": ["1"]}, ["a", "a"], "inputs = 'a': must be columns of table, each once"),
        ({"a": ["x"], "b": ["1"]}, [], "inputs = none: must be a column"),
        ({"a": ["x"], " a": ["1"]}, None, "columns, column 2 = 'a': must have a name of its own"),
        ({}, None, "table, columns = none"),
    ],
)
def test_from_table_refuses_by_name(columns, inputs, wanted):
    with pytest.raises(ValueError, match=wanted):
        from_table(columns, inputs=inputs)


def test_inputs_that_are_no_row_are_refused():
    family = from_table({"a": [1, 2], "b": [3, 4], "t": ["x", "y"]}, inputs=["a", "b"])
    with pytest.raises(ValueError, match=r"a, b = '1', '4': must be the inputs of a row of table"):
        family.answers(("1", "4"))


def test_columns_that_share_words_do_not_mix():
    family = from_table({"a": [1, 1, 2], "b": [1, 2, 1], "t": list("xyz")}, inputs=["a", "b"])
    assert [family.answers(pair)[0] for pair in family.rows] == ["x", "y", "z"]
    assert len(family.vocabulary) == 2 + 2 + 3


# The shipped tables, and prompts of them.


@cache
def shipped(name):
    return tables.load(name)


def told(text, name, **more):
    return read(text, None, {name: tables.writing(shipped(name))}, **more)


# Three inputs of which all tasks say something else: equal widths, so that one program of a theorem
# serves verbs and dictionary.
PROMPTS = {
    "verbs": ("walk -> walked\nsing->singing\ngo->", {"went": 1 / 2, "going": 1 / 2}),
    "adjectives": ("big->bigger\nGOOD->best\nbad->", {"worse": 1 / 2, "worst": 1 / 2}),
    "dictionary": ("dog->chien\ncat->gato\nsea->", {"mer": 1 / 2, "mar": 1 / 2}),
}


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("name", tables.SHIPPED)
def test_a_shipped_table_answers_a_mixed_prompt_under_every_theorem(name, number):
    text, wanted = PROMPTS[name]
    reply = ask(told(text, name), theorem=number)
    assert reply.holds and reply.theorem == number
    assert dict(reply.distribution) == pytest.approx(wanted, abs=reply.error_bound)
    # Its width is that of three rows.
    assert len(reply.text.family.vocabulary) == 3 * (1 + len(shipped(name).tasks))


def test_a_task_that_says_nothing_keeps_its_share():
    reply = ask(told("walk->walked\nsing->singing\nwork->works\ncan->", "verbs"))
    assert reply.holds
    third = pytest.approx(1 / 3, abs=1e-5)
    assert dict(reply.distribution) == {"could": third, None: third, "can": third}
    assert reply.other == pytest.approx(0, abs=1e-5)
    assert [task["answer"] for task in reply.as_json()["tasks"]] == ["could", None, "can"]


def test_shipped_tables_are_as_large_as_they_say():
    sizes = {name: len(shipped(name).rows) for name in tables.SHIPPED}
    assert sizes == {"verbs": 153, "adjectives": 102, "dictionary": 174}


def test_the_verbs_follow_the_rules_of_spelling():
    for (verb,), (past, ing, third) in shipped("verbs").rows.items():
        if verb in ("can", "may", "must"):
            assert not ing and third == verb
            continue
        assert past
        stem = verb[:-2] + "y" if verb.endswith("ie") else verb
        assert ing in (stem + "ing", stem.removesuffix("e") + "ing", stem + stem[-1] + "ing")
        if verb == "have":
            assert third == "has"
        elif verb.endswith("y") and verb[-2] not in "aeou":
            assert third == verb[:-1] + "ies"
        else:
            assert third == verb + ("es" if verb.endswith(("s", "x", "ch", "sh", "o")) else "s")


def test_the_adjectives_follow_the_rules_of_spelling():
    rows = dict(shipped("adjectives").rows)
    for irregular in ("good", "bad", "far", "little", "many"):
        del rows[(irregular,)]
    for (word,), (more, most) in rows.items():
        stem = word.removesuffix("e") if word.endswith("e") else word
        stem = stem[:-1] + "i" if stem.endswith("y") else stem
        assert more.removesuffix("er") == most.removesuffix("est")
        assert more.removesuffix("er") in (stem, word + word[-1])


def test_the_dictionary_s_german_nouns_are_capitalized():
    small = {words[0] for words, says in shipped("dictionary").rows.items() if says[2].islower()}
    numbers = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
    assert small == numbers | {"black", "blue", "cold", "green", "red", "white", "yellow"}


# Blanks and letter case.


@pytest.mark.parametrize(
    ("text", "examples", "query"),
    [
        ("WALK -> Walked\n gO->", (("walk",), "walked"), ("go",)),
        ("sit->sat\ngo  ->", (("sit",), "sat"), ("go",)),
    ],
)
def test_blanks_and_case_are_forgiven(text, examples, query):
    found = told(text, "verbs")
    assert found.examples == (examples,) and found.query == query


def test_what_is_written_exactly_is_taken_exactly_and_what_can_be_two_words_is_refused():
    columns = {"w": ["polish", "Polish", "us"], "t": ["shine", "from Poland", "we"]}
    rows = [(f"row {i}", row) for i, row in enumerate(zip(*columns.values(), strict=True))]
    writings = {"t": tables.writing(tabulate("t", list(columns), rows))}
    found = read("polish->shine\nPolish->FROM  poland\nUS->", None, writings)
    assert found.examples == ((("polish",), "shine"), (("Polish",), "from Poland"))
    assert found.query == ("us",)
    with pytest.raises(ValueError, match=r"line 1: 'POLISH' in .* can be 'polish' or 'Polish'"):
        read("POLISH->shine\nus->", None, writings)
    with pytest.raises(ValueError, match=r"line 2: unknown word 'pollish' .* mean 'polish'"):
        read("polish->shine\npollish->", None, writings)


def test_a_label_is_first_read_as_an_answer_of_its_own_example():
    table = Table("t", ("w",), ("a", "b"), {("x",): ("Rome", "rome"), ("y",): ("ROME", "z")})
    writings = {"t": tables.writing(table)}
    assert read("y->rOME\nx->", None, writings).examples == ((("y",), "ROME"),)
    with pytest.raises(ValueError, match="'rOME' in 'x->rOME' can be 'Rome' or 'rome'"):
        read("x->rOME\ny->", None, writings)


def test_several_inputs_are_separated_by_commas(tmp_path):
    path = tmp_path / "forms.csv"
    path.write_text("verb,person,present\ngo,I,go\ngo,she,goes\nbe,I,am\nbe,she,is\n")
    table = tables.load(str(path), ["verb", "person"])
    found = read("GO, she -> goes\nbe ,i->", None, {"forms": tables.writing(table)})
    assert found.examples == ((("go", "she"), "goes"),) and found.query == ("be", "I")
    with pytest.raises(ValueError, match=r"unknown word 'be, he' as input .* mean 'be, she'"):
        read("go, she->goes\nbe, he->", None, {"forms": tables.writing(table)})
    path.write_text('verb,person,present\n"go, on",I,go\n')
    with pytest.raises(ValueError, match=r"line 2 = 'go, on': an input must not hold ','"):
        tables.load(str(path), ["verb", "person"])


# The command.


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["prompt", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit:
        cli.run(prompt.main, prompt.PROG)
    return exit.value.code


def test_the_command_takes_a_file_and_columns(monkeypatch, capsys, tmp_path):
    path = tmp_path / "my.csv"
    path.write_text("n,double,next\n1,2,2\n2,4,3\n3,6,\n")
    text = ("--text", "2 -> 4 / 1->2 / 3->")
    assert command(monkeypatch, "--tasks", path, *text) == 0
    shown = capsys.readouterr().out
    assert "family my.csv, Theorem 1" in shown and "(nothing)" in shown
    assert "2 tasks explain it: double, next" in shown
    assert command(monkeypatch, "--tasks", path, "--theorem", 2, *text) == 2
    assert "line 2: '1->2' is explained by double, next: Theorem 2" in capsys.readouterr().err
    assert command(monkeypatch, "--tasks", path, "--inputs", "next", *text) == 2
    assert "a blank 'next'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--tasks", "verbz"), "must be one of verbs, adjectives, dictionary, or a file"),
        (("--tasks", "verbs", "--family", "plus"), "not allowed with argument"),
        (("--tasks", "verbs", "--inputs", "past", "--inputs", "noun"), "inputs = 'noun'"),
        (("--inputs", "past"), "--inputs: names columns of a table"),
        (("--tasks", "verbs", "--theorem", "4"), "invalid choice: 4"),
    ],
)
def test_bad_requests_are_one_line(monkeypatch, capsys, arguments, wanted):
    assert command(monkeypatch, *arguments, "--text", "go->went / do->") == 2
    captured = capsys.readouterr()
    assert wanted in captured.err and captured.err.count("\n") == 1 and captured.out == ""
