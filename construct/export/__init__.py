"""The theorem's transformers in formats that other tools load, and back.

    from construct.export import transformerlens
    transformerlens(model, family).save("folder")

Nothing but NumPy and safetensors is needed to write them.
"""

from construct.export.back import Returned, load_exported
from construct.export.checkpoint import Checkpoint
from construct.export.sentences import Sentences
from construct.export.to_huggingface import huggingface
from construct.export.to_llama import llama
from construct.export.to_safetensors import plain
from construct.export.to_transformerlens import transformerlens
from construct.export.tokens import Vocabulary

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
