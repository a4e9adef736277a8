"""Theorem 4's prompts as text: a word-level vocabulary, embedding tables, and a tokenizer in the
format of the `tokenizers` library.

    lion -> big animal
    ant -> small animal
    whale ->

A line is S input words, an arrow and L answer words. What a token is follows from where it stands,
so a word is one token wherever it is; flags and codes stand in the position's row. Newlines are no
tokens. When an answer is complete the model says that the text ends.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from construct import checks
from construct.families.family import SILENT, Family, vocabulary
from construct.residual import Residual, position_code
from construct.roles import line_flags
from construct.spec import Spec
from construct.words import BLANK, WordPrompt, WordTask, input_slots

PAD, BOS, END, UNKNOWN, ARROW = "<pad>", "<s>", "</s>", "<unk>", "->"
# Fills up an answer that has fewer words than others.
END_OF_ANSWER = "."
SPECIAL = (PAD, BOS, END, UNKNOWN, ARROW)


@dataclass(frozen=True, eq=False)
class Sentences:
    """The text of a Theorem 4 model's prompts. words: the d words, by number. Where a line has one
    input word and one answer word, blanks may stand inside a word.

    Raises ValueError for words that cannot be told from each other or from the text around them.
    """

    spec: Spec
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.words) != self.spec.d:
            raise checks.refuse(
                "words",
                f"{len(self.words)} words",
                f"must be d = {self.spec.d}",
                "pass a word for each number",
            )
        for i, word in enumerate(self.words):
            if (
                word in self.words[:i]
                or word in SPECIAL
                or word != " ".join(word.split())
                or not word
            ):
                raise checks.refuse(
                    f"words[{i}]",
                    repr(word),
                    "must be a word of its own, without blanks around it, and none of "
                    f"{', '.join(map(repr, SPECIAL))}",
                    "rename it",
                )
            if ARROW in word or (" " in word and not self.spaced):
                raise checks.refuse(
                    f"words[{i}]",
                    repr(word),
                    "must not hold an arrow or, where lines have several words, a blank: text is "
                    "split there",
                    "write it otherwise, such as with an underscore",
                )

    @property
    def spaced(self) -> bool:
        """Whether blanks may stand inside a word: text is then split at arrows and newlines
        alone."""
        return self.spec.L == 1 and input_slots(self.spec) == 1

    @property
    def tokens(self) -> tuple[str, ...]:
        """All tokens in the order of their ids."""
        return (*SPECIAL, *self.words)

    @property
    def positions(self) -> int:
        """The positions of the longest prompt with its answer: N = 1 + (m + 1) n."""
        return self.spec.tokens

    @cached_property
    def ids_of(self) -> dict[str, int]:
        """The id of each token."""
        return {token: i for i, token in enumerate(self.tokens)}

    @property
    def word_ids(self) -> range:
        """The ids of the words, in order."""
        return range(len(SPECIAL), len(self.tokens))

    def ids(self, prompt: WordPrompt) -> list[int]:
        """The token ids of a prompt and what has been said. Raises ValueError for more than m
        examples, for which there are no positions."""
        if prompt.examples > self.spec.m:
            raise checks.refuse(
                "prompt",
                f"{prompt.examples} examples",
                f"must be at most m = {self.spec.m}, for which there are positions",
                "drop some, or export again with a larger m",
            )
        arrow, found = self.ids_of[ARROW], [self.ids_of[BOS]]
        for inputs, answer in zip(prompt.inputs, prompt.answers, strict=True):
            found += [*self._ids(inputs), arrow, *self._ids(answer)]
        return [*found, *self._ids(prompt.query), arrow, *self._ids(prompt.prefix)]

    def _ids(self, words: Iterable[Any]) -> list[int]:
        """The token ids of words by number; a blank is an unknown word."""
        unknown = self.ids_of[UNKNOWN]
        return [unknown if word == BLANK else len(SPECIAL) + int(word) for word in words]

    def text(self, prompt: WordPrompt) -> str:
        """A prompt as one types it."""

        def line(inputs: Iterable[Any], answer: Iterable[Any]) -> str:
            words = [[self.tokens[i] for i in self._ids(part)] for part in (inputs, answer)]
            return " ".join([*words[0], ARROW, *words[1]])

        lines = [line(*both) for both in zip(prompt.inputs, prompt.answers, strict=True)]
        return "\n".join([*lines, line(prompt.query, prompt.prefix)])

    def embeddings(
        self, residual: Residual
    ) -> tuple[Float[np.ndarray, "tokens D"], Float[np.ndarray, "positions D"]]:
        """The tables: a word's content, and each position's flags and codes. Their sum is the
        stream before the first layer, bit for bit."""
        W_E = np.zeros((len(self.tokens), residual.dim))
        W_E[self.word_ids] = residual["x"]
        spec, flags = self.spec, line_flags(input_slots(self.spec), self.spec.L)
        W_pos = np.zeros((self.positions, residual.dim))
        for position, row in enumerate(W_pos):
            line, slot = divmod(position - 1, spec.n)
            here = ("one", "bos") if position == 0 else flags[slot]
            for flag in here:
                row[residual.where(flag)] = 1
            if position:
                row[residual.where("e")] = position_code(line, spec.example_bits)
                row[residual.where("s")] = position_code(slot, spec.slot_bits)
        return W_E, W_pos

    def unembedding(
        self, residual: Residual, logits: str, floor: float
    ) -> Float[np.ndarray, "tokens D"]:
        """The rows of the head: a word's logit is its coordinate of `logits`; that of the end is 0
        where an answer is complete. All else lies as far below the floor as that is below 0."""
        rows = 2 * floor * np.repeat(residual["one"], len(self.tokens), axis=0)
        rows[self.word_ids] = residual[logits]
        rows[self.ids_of[END]] -= 2 * floor * residual[f"a{self.spec.L}"][0]
        return rows

    def texts(self) -> dict[str, str]:
        """Files beside the weights, by name: the tokenizer that AutoTokenizer loads."""
        pre = [
            _split(r"->", "Isolated"),
            _split(r"\n", "Removed"),
            _split(r"^\s+|\s+$" if self.spaced else r"\s+", "Removed"),
        ]
        normal = [
            {"type": "Replace", "pattern": {"Regex": r"[ \t]*->[ \t]*"}, "content": "->"},
            {"type": "Replace", "pattern": {"Regex": r"[ \t]*\n\s*"}, "content": "\n"},
            {"type": "Strip", "strip_left": True, "strip_right": True},
        ]
        model = {
            "type": "WordLevel",
            "vocab": {token: i for i, token in enumerate(self.tokens)},
            "unk_token": UNKNOWN,
        }
        added = [
            {
                "id": self.ids_of[token],
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for token in (PAD, BOS, END, UNKNOWN)
        ]
        whole = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": {"type": "Sequence", "normalizers": normal},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": pre},
            "post_processor": _begin_with(BOS, self.ids_of[BOS]),
            "decoder": None,
            "model": model,
        }
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": BOS,
            "eos_token": END,
            "pad_token": PAD,
            "unk_token": UNKNOWN,
            "padding_side": "left",
            "model_max_length": self.positions,
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", "attention_mask"],
        }
        return {
            "tokenizer.json": json.dumps(whole, indent=1, ensure_ascii=False) + "\n",
            "tokenizer_config.json": json.dumps(config, indent=2, ensure_ascii=False) + "\n",
        }


def _split(pattern: str, behavior: str) -> dict[str, object]:
    return {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": behavior,
        "invert": False,
    }


def _begin_with(token: str, index: int) -> dict[str, object]:
    """The post-processor that puts one token before a text."""
    first = {"SpecialToken": {"id": token, "type_id": 0}}
    whole = {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [first, whole],
        "pair": [first, whole, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {token: {"id": token, "ids": [index], "tokens": [token]}},
    }


def word_tasks(family: Family, *, split: bool = False) -> tuple[list[WordTask], tuple[str, ...]]:
    """A family's tasks as tasks of Theorem 4, and their words.

    An answer is one word, L = 1; with `split` it is split at blanks into L words, and one that has
    fewer is filled up with a full stop, the end-of-answer word. A task that says nothing stays
    silent. Raises ValueError for a family whose tasks read features or a sum of inputs and, to
    split, one whose rows cannot be listed or that has full stops.
    """
    if family.sum_slot or family.feature_map is not None:
        raise checks.refuse(
            "family",
            family.name,
            "has tasks that read several inputs at once, and Theorem 4's read one word",
            "use Theorem 1, or a table with one column of inputs",
        )
    if split:
        return _split_tasks(family)
    words = tuple(word for word in family.vocabulary if word != SILENT)
    kept = [family.coordinate[word] for word in words]
    tasks = []
    for task in family.tasks:
        matrix = task.weight[np.ix_(kept, kept)]
        said = np.where(matrix.any(0), matrix.argmax(0), BLANK)
        tasks.append(WordTask(task.slot, said[None]))
    return tasks, words


def _split_tasks(family: Family) -> tuple[list[WordTask], tuple[str, ...]]:
    if not family.rows or any(len(row) > 1 for row in family.rows):
        raise checks.refuse(
            "split", True, "needs a family whose rows can be listed", "use a table of tasks"
        )
    inputs = [row[0] for row in family.rows]
    said = [
        [() if answer == SILENT else tuple(answer.split()) for answer in answers]
        for answers in zip(*(family.answers(word) for word in inputs), strict=True)
    ]
    L = max(len(answer) for answers in said for answer in answers)
    short = any(0 < len(answer) < L for answers in said for answer in answers)
    spoken = [word for answers in said for answer in answers for word in answer]
    if short and END_OF_ANSWER in (*inputs, *spoken):
        raise checks.refuse(
            "split",
            repr(END_OF_ANSWER),
            "fills up answers that are shorter than others, and must be no word of the table",
            "write another sign there",
        )
    words = vocabulary(inputs, spoken, (END_OF_ANSWER,) * short)
    number = {word: i for i, word in enumerate(words)}
    tasks = []
    for answers in said:
        table = np.full((L, len(words)), BLANK)
        for word, answer in zip(inputs, answers, strict=True):
            if answer:
                filled = (*answer, *(END_OF_ANSWER,) * (L - len(answer)))
                table[:, number[word]] = [number[one] for one in filled]
        tasks.append(WordTask(0, table))
    return tasks, words
