"""Trained from the construction plus noise: Theorem 1's machinery with weights that were noised and
trained back (`verify.train.noise`).

Nothing is claimed of its values. It can be held against the key of the construction that it began
as, to see how much of that is left.
"""

from construct import Transformer
from verify.bench.subjects.constructed import ModelSubject
from verify.bench.tasksets import TaskSet
from verify.train.noise import Kept, load
from verify.train.runs import CHECKPOINTS, FROM_NOISE


class FromNoise(ModelSubject):
    """Weights that were noised and trained back, asked as the constructed ones are."""

    def __init__(self, kept: Kept) -> None:
        super().__init__(kept.run.name, "float32")
        self.kept = kept

    def prepare(self, tasks: TaskSet, lines: int) -> None:
        """Be ready for the tasks of the run. Raises ValueError for others, or for longer prompts
        than were built for."""
        run = self.kept.run
        if tasks.name != f"ret{run.K}" or lines > run.lines:
            raise ValueError(
                f"{run.name}: asked {tasks.name} in {lines} lines; it knows ret{run.K} in up to "
                f"{run.lines}: name another set, or other sizes"
            )
        self.use(self.kept.model, tasks)

    @property
    def built(self) -> Transformer:
        """The construction that it began as: its key says what each head was for."""
        return self.kept.run.built()


def from_noise(run: str) -> FromNoise:
    """A subject of this kind by its run. Raises ValueError where its checkpoint is not there."""
    path = CHECKPOINTS / f"{run}.safetensors"
    assert run in FROM_NOISE
    if not path.exists():
        raise ValueError(f"{run}: no checkpoint; make it: python -m verify.train {run}")
    return FromNoise(load(path))
