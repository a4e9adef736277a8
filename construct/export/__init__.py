"""The theorem's transformers in formats that other tools load, and back.

    from construct.export import transformerlens
    transformerlens(model, family).save("folder")

Nothing but NumPy and safetensors is needed to write them.
"""

from construct.export.checkpoint import Checkpoint
from construct.export.opt import huggingface
from construct.export.sentences import Sentences
from construct.export.transformerlens import transformerlens

__all__ = ["Checkpoint", "Sentences", "huggingface", "transformerlens"]
