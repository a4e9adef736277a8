"""What the tests in other tools share: exported folders, made once. Where torch is not installed,
those tests are skipped; `make test-export` has an environment for them."""

from pathlib import Path

import numpy as np
import pytest

from construct.export import Sentences
from verify.export.__main__ import maker, parser, request_of, written
from verify.export.request import Request


class Folder:
    """An export that was made: its folder, what was asked for, the model and the checkpoint."""

    def __init__(self, folder: Path, command: str) -> None:
        options = parser().parse_args(command.split())
        self.request: Request = request_of(options)
        self.model = self.request.build()
        make = maker(self.request, self.model, options.to)[1]
        self.checkpoint = written(self.request, make, folder, 0)
        self.path = folder

    @property
    def text(self) -> Sentences:
        assert isinstance(self.request.text, Sentences)
        return self.request.text

    def prompts(self, count: int, seed: int = 1) -> list:
        rng = np.random.default_rng(seed)
        return [self.request.draw(rng) for _ in range(count)]


@pytest.fixture(scope="session")
def export(tmp_path_factory):
    """Exports by the options that the command takes, each made once."""
    made: dict[str, Folder] = {}

    def get(command: str) -> Folder:
        if command not in made:
            made[command] = Folder(tmp_path_factory.mktemp("export"), command)
        return made[command]

    return get
