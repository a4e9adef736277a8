"""The theorem's transformers in formats that other tools load, and back.

    from construct.export import transformerlens
    transformerlens(model, family).save("folder")

Nothing but NumPy and safetensors is needed to write them.
"""

from construct.export.back import Returned, load_exported
from construct.export.checkpoint import Checkpoint
from construct.export.llama import llama
from construct.export.opt import huggingface
from construct.export.plain import plain
from construct.export.sentences import Sentences
from construct.export.tokens import Vocabulary
from construct.export.transformerlens import transformerlens

__all__ = [
    "Checkpoint",
    "Returned",
    "Sentences",
    "Vocabulary",
    "huggingface",
    "llama",
    "load_exported",
    "plain",
    "transformerlens",
]
