"""The trained subjects: the decoders of `python -m verify.train`."""

from verify.bench.subjects.decoder import DecoderSubject, Tokens
from verify.bench.tasksets import Case
from verify.train.checkpoint import Checkpoint, load
from verify.train.runs import CHECKPOINTS
from verify.train.tasks import ARROW


class Trained(DecoderSubject):
    """A decoder that was trained on one task a prompt. A line is its letters or digit, an arrow and
    the answer's words, a token each."""

    def __init__(self, name: str, kept: Checkpoint) -> None:
        super().__init__(name, kept.decoder)
        self.token = {symbol: i for i, symbol in enumerate(kept.run.tasks.symbols)}
        self.solved = kept.progress.solved is not None
        self.words = kept.run.tasks.words

    def first_token(self, word: str) -> int:
        """A word is a token; an answer of several has blanks between."""
        return self.token[word.split()[0]]

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The symbols."""
        return tuple(self.token)

    def tokens(self, case: Case) -> Tokens:
        """The lines' tokens; the query's arrow predicts the answer."""
        text: list[int] = []
        labels = []
        for (word,), label in case.lines:
            text += [self.token[symbol] for symbol in (*word, ARROW, *label.split())]
            labels.append(len(text) - 1)
        before = len(text)
        text += [self.token[symbol] for symbol in (*case.query[0], ARROW)]
        # Without a line the places of one do not exist: the first token stands for them.
        label = labels[-1] if labels else 0
        places = (len(text) - 1, label, max(label - self.words - 1, 0), len(text) - 2)
        assert before <= places[3]
        answers = tuple([self.token[word] for word in answer.split()] for answer in case.answers)
        return Tokens(text, places, tuple(labels), answers)


def trained(run: str) -> Trained:
    """A trained subject by its run. Raises ValueError where its checkpoint is not there."""
    path = CHECKPOINTS / f"{run}.safetensors"
    if not path.exists():
        raise ValueError(f"{run}: no checkpoint; make it: python -m verify.train {run}")
    return Trained(run, load(path))
