"""Export as it is: the project's own safetensors file (`construct.saved`), one array a matrix and
head bank, with the answer key beside it."""

from construct.export.checkpoint import Checkpoint
from construct.export.norms import Frame
from construct.layers import Stack

TARGET = "safetensors"
PLACES = {
    "resid_mid": "{name}.resid_mid",
    "resid_post": "{name}.resid_post",
    "attn.q": "{name}.attn.q",
    "attn.k": "{name}.attn.k",
    "attn.v": "{name}.attn.v",
    "attn.scores": "{name}.attn.scores",
    "attn.pattern": "{name}.attn.pattern",
    "attn.result": "{name}.attn.result",
}


def plain(model: Stack) -> Checkpoint:
    """The model's own file; places are those of `model.places()`."""
    dim = model.residual.dim
    return Checkpoint(TARGET, model, {}, {}, PLACES, Frame("none", dim, dim))
