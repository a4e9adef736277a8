"""What is to be exported: tasks of a table, of a family or at random, as a theorem's transformer,
with the text of its prompts and random prompts to try it on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from construct import FeatureMap, Spec, Transformer, checks
from construct.export import Sentences, Vocabulary
from construct.export.sentences import word_tasks
from construct.families import Family
from construct.families.family import SILENT, Words
from construct.theorem4 import spec_of
from construct.words import BLANK, WordPrompt
from verify.record import Theorem

# A prompt is drawn again until it is within the hypotheses; a family in which this fails so often
# has no example that one task alone explains.
TRIES = 1000


@dataclass(frozen=True, eq=False)
class Request:
    """A theorem's transformer to be exported.

    name: of its tasks. task_names: of each; text: of its prompts, None where they are vectors.
    draw(rng): a random prompt within the hypotheses, and for prompts of words its examples and
    query as words (else None).
    """

    theorem: Theorem
    name: str
    task_names: Words
    spec: Spec
    tasks: Sequence[Any]
    feature_map: FeatureMap | None
    text: Vocabulary | Sentences | None
    draw: Callable[[np.random.Generator], Any]

    def build(self) -> Transformer:
        """The transformer. Raises ValueError where the theorem cannot perform these tasks."""
        try:
            return self.theorem.build(self.spec, self.tasks, self.feature_map)
        except ValueError as error:
            raise ValueError(
                f"Theorem {self.theorem.number} cannot perform {self.name}: {error}"
            ) from None


def of_random(
    theorem: Theorem, rng: np.random.Generator, *, K: int, d: int, m: int, n: int, dtype: str
) -> Request:
    """Random tasks: on vectors, for Theorem 4 on words that are called w0, w1, ..."""
    instance = theorem.draw_instance(rng, K=K, d=d, m=m, n=n, dtype=dtype, **theorem.drawn)
    text = None
    if theorem.number == 4:
        text = Sentences(instance.spec, tuple(f"w{i}" for i in range(d)))
    return Request(
        theorem,
        f"{K} random tasks",
        tuple(f"task {i}" for i in range(K)),
        instance.spec,
        instance.tasks,
        instance.feature_map,
        text,
        lambda rng: theorem.draw_prompt(rng, instance),
    )


def of_family(
    theorem: Theorem,
    family: Family,
    draw_words: Callable[[np.random.Generator], Words],
    *,
    m: int,
    split: bool = False,
) -> Request:
    """The tasks of a family. draw_words: the words of a random example; split: for Theorem 4,
    answers of several words."""
    if theorem.number == 4:
        return _sentences(theorem, family, draw_words, m, split)
    if split:
        raise checks.refuse(
            "--split", True, "is for Theorem 4, whose answers have several words", "--theorem 4"
        )
    spec = family.spec(m)

    def draw(rng: np.random.Generator) -> Any:
        examples = [_example(rng, family, draw_words) for _ in range(int(rng.integers(1, m + 1)))]
        return family.prompt(examples, draw_words(rng))

    return Request(
        theorem,
        family.name,
        family.names,
        spec,
        family.tasks,
        family.feature_map,
        Vocabulary(family, spec),
        draw,
    )


def _example(
    rng: np.random.Generator, family: Family, draw_words: Callable[[np.random.Generator], Words]
) -> tuple[Words, str]:
    """A random example that one task alone explains."""
    for _ in range(TRIES):
        words = draw_words(rng)
        label = str(rng.choice(family.answers(words)))
        if label != SILENT and len(family.explain(words, label)) == 1:
            return words, label
    raise checks.refuse(
        "tasks",
        family.name,
        "must have examples that one task alone explains",
        "take more rows, or tasks that differ",
    )


def _sentences(
    theorem: Theorem,
    family: Family,
    draw_words: Callable[[np.random.Generator], Words],
    m: int,
    split: bool,
) -> Request:
    tasks, words = word_tasks(family, split=split)
    spec = spec_of(tasks, m=m, S=family.slots)
    text = Sentences(spec, words)
    number = {word: i for i, word in enumerate(words)}

    def inputs(rng: np.random.Generator) -> list[int]:
        return [number.get(word, BLANK) for word in family.layout(draw_words(rng))]

    def draw(rng: np.random.Generator) -> WordPrompt:
        lines, answers, examples = [], [], int(rng.integers(1, m + 1))
        while len(lines) < examples:
            line, task = inputs(rng), tasks[rng.integers(len(tasks))]
            word = line[task.slot]
            if word != BLANK and (task.words[:, word] != BLANK).all():
                lines.append(line)
                answers.append(task.words[:, word])
        return WordPrompt(np.array(lines), np.array(answers), np.array(inputs(rng)))

    return Request(theorem, family.name, family.names, spec, tasks, None, text, draw)


def narrowed(family: Family, rows: int, draw_words: Callable) -> tuple[Family, Callable]:
    """A family of the first so many rows of a table, and how its examples are drawn; one whose rows
    cannot be listed stays as it is."""
    if not family.rows:
        return family, draw_words
    kept = family.rows[:rows]
    small = family.narrowed([([], row) for row in kept])
    # Rows that tell two tasks apart may have been added.
    kept = small.rows or kept
    return replace(small, name=family.name), lambda rng: kept[rng.integers(len(kept))]
