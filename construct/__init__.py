"""Explicit weights for transformers that learn tasks in context, in superposition.

from construct import Spec, Task, Prompt, build
model = build(Spec.of(tasks, m=32, n=3, margin=0.5, radius=4.0), tasks)
answer = model(Prompt(inputs=X, labels=Y, query=q))
"""

from construct.answer import Answer, Trace
from construct.evaluate.memory import Memory
from construct.model import Transformer
from construct.prompt import Prompt
from construct.spec import Spec
from construct.tasks import FeatureMap, Task
from construct.theorem1 import build

__version__ = "0.2.0"  # as pyproject.toml has it
__all__ = [
    "Answer",
    "FeatureMap",
    "Memory",
    "Prompt",
    "Spec",
    "Task",
    "Trace",
    "Transformer",
    "build",
]
