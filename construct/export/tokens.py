"""Word prompts as token ids, and embedding tables that make the theorem's stream of them.

A prompt has one length, that of m examples: BOS, the examples, pads for those that it has not, the
query and a blank answer token. A word has a token as an input ("France") and another as a label
("->Paris"). What a token is stands in its row of W_E, where it stands in its row of W_pos:

    W_E    content x and inp, content y and lab; the sum slot's and the blank inputs' flags
    W_pos  one and the codes of example and slot; bos at position 0, qry at the query's positions

Their sum is the stream that `construct.prompt.embed` makes, bit for bit; a pad is a token without
a role, which the lemmas count among the many that lose by 2T.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from construct import checks
from construct.families.family import BLANK, SILENT, Example, Family, Words
from construct.residual import Residual, position_code
from construct.roles import ANSWER, BOS, EXAMPLE, INPUT, LABEL, QUERY, ROLES, roles_of
from construct.spec import Spec

PAD, BOS_TOKEN, ANSWER_TOKEN = "<pad>", "<bos>", "<answer>"
BLANK_TOKEN, SUM_TOKEN = "<blank>", "<sum>"
ARROW = "->"
NOTHING = "<nothing>"


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The tokens of a family's prompts, in the order of their ids."""

    family: Family
    spec: Spec

    @property
    def special(self) -> Words:
        """Tokens that are no words."""
        return (PAD, BOS_TOKEN, ANSWER_TOKEN, BLANK_TOKEN, *((SUM_TOKEN,) * self.spec.sum_slot))

    @property
    def inputs(self) -> Words:
        """The words that may stand in a slot, in the vocabulary's order."""
        return tuple(word for word in self.family.vocabulary if word in self.family.domain)

    @property
    def tokens(self) -> Words:
        """All tokens: special ones, inputs, labels."""
        return (*self.special, *self.inputs, *map(label_token, self.family.vocabulary))

    def id_of(self, token: str) -> int:
        """The id of a token. Raises ValueError for one that there is not."""
        try:
            return self._ids[token]
        except KeyError:
            raise checks.refuse(
                "token",
                repr(token),
                f"must be a token of {self.family.name}",
                f"use one of {len(self.tokens)}, such as {', '.join(self.inputs[:3])}",
            ) from None

    @property
    def _ids(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens)}

    @property
    def labels(self) -> list[int]:
        """By coordinate of an answer, the id of its word as a label."""
        ids = self._ids
        return [ids[label_token(word)] for word in self.family.vocabulary]

    def ids(self, examples: Sequence[Example], query: Words | str) -> list[int]:
        """The token ids of a prompt. Raises ValueError for an unknown word, or more than m
        examples."""
        if len(examples) > self.spec.m:
            raise checks.refuse(
                "examples",
                f"{len(examples)} examples",
                f"must be at most m = {self.spec.m}, for which there are positions",
                "drop some, or export again with a larger m",
            )
        found = [BOS_TOKEN]
        for words, label in examples:
            found += [*self._inputs(words), label_token(label)]
        found += [PAD] * (self.spec.n * (self.spec.m - len(examples)))
        found += [*self._inputs(query), ANSWER_TOKEN]
        return [self.id_of(token) for token in found]

    def _inputs(self, words: Words | str) -> list[str]:
        laid = self.family.layout((words,) if isinstance(words, str) else tuple(words))
        tokens = [BLANK_TOKEN if word == BLANK else word for word in laid]
        if self.spec.sum_slot:
            tokens[-1] = SUM_TOKEN
        return tokens

    def embeddings(
        self, residual: Residual
    ) -> tuple[Float[np.ndarray, "tokens D"], Float[np.ndarray, "positions D"]]:
        """The tables W_E and W_pos."""
        return self._word_rows(residual), position_rows(residual, self.spec, contents=False)

    def unembedding(
        self, residual: Residual, logits: str, floor: float
    ) -> Float[np.ndarray, "tokens D"]:
        """The rows of the head: a label's logit is its coordinate of `logits`; whatever is no label
        lies as far below the floor as that is below 0."""
        rows = 2 * floor * np.repeat(residual["one"], len(self.tokens), axis=0)
        rows[self.labels] = residual[logits]
        return rows

    def texts(self) -> dict[str, str]:
        """Files beside the weights, by name: the tokens in the order of their ids."""
        return {"vocabulary.json": json.dumps(self.tokens, indent=0, ensure_ascii=False) + "\n"}

    def _word_rows(self, residual: Residual) -> Float[np.ndarray, "tokens D"]:
        rows = np.zeros((len(self.tokens), residual.dim))
        ids, same = self._ids, np.eye(len(self.family.vocabulary))
        for role, words, spell in (
            (ROLES[INPUT], self.inputs, str),
            (ROLES[LABEL], self.family.vocabulary, label_token),
        ):
            (flag,) = set(role.flags) - {"one"}
            for word in words:
                row = rows[ids[spell(word)]]
                row[residual.where(flag)] = 1
                row[residual.where(role.content or "")] = same[self.family.coordinate[word]]
        for token in (BLANK_TOKEN, SUM_TOKEN):
            if token in ids:
                rows[ids[token], residual.where("inp")] = 1
        if SUM_TOKEN in ids:
            rows[ids[SUM_TOKEN], residual.where("sum")] = 1
        return rows


def label_token(word: str) -> str:
    """A word as a label."""
    return NOTHING if word == SILENT else f"{ARROW}{word}"


def position_rows(
    residual: Residual, spec: Spec, contents: bool = True
) -> Float[np.ndarray, "positions D"]:
    """What stands at each position of a prompt of m examples: codes and flags, of which those that
    tell inputs and labels stand there only with `contents` (else tokens say them)."""
    rows = np.zeros((spec.tokens, residual.dim))
    groups = [(EXAMPLE, j) for j in range(spec.m)] + [(QUERY, spec.m)]
    places = [(ROLES[BOS], None, 0)] + [
        (role, index, slot)
        for group, index in groups
        for role in roles_of(group)
        for slot in role.slots(spec.n)
    ]
    said_by_tokens = () if contents else ("inp", "lab", "sum")
    for row, (role, index, slot) in zip(rows, places, strict=True):
        marked = [flag for flag in role.flags if flag not in said_by_tokens]
        if contents and spec.sum_slot and not role.last and slot == spec.n - 2:
            marked.append("sum")
        for flag in marked:
            row[residual.where(flag)] = 1
        if index is not None:
            row[residual.where("e")] = position_code(index, spec.example_bits)
            row[residual.where("s")] = position_code(slot, spec.slot_bits)
    assert places[-1][0] is ROLES[ANSWER]
    return rows
