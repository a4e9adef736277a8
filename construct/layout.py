"""How a theorem's prompts become rows of a stream: one `Layout` a kind of prompt, static and
hashable, which the evaluators read off the theorem's `Readout`.

Whatever the layout: the first row is BOS, every example has n rows and the last of them is where it
is decided, padding is masked and never seen, and the last row holds the answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from construct.prompt import Prompt, batch_of, check_prompt, embed, own_rows
from construct.residual import Residual
from construct.roles import token_names
from construct.spec import Spec
from construct.vectors import VectorPrompt
from construct.words import WordPrompt

AnyPrompt = Prompt | WordPrompt | VectorPrompt


@dataclass(frozen=True)
class Layout:
    """A kind of prompt.

    check(spec, prompt, name, input_radius) refuses one that is outside the hypotheses as far as its
    own numbers tell. batch_of(prompts, spec): checked prompts padded to one shape, a NamedTuple
    with `inputs` (B, m, slots, d) and `tokens`, the rows of a prompt. embed(one, residual, m): one
    prompt's stream before the first layer, and which rows are real. own_rows(batch, i): the rows of
    prompt i that are no padding. names(prompt, spec): readable names of those."""

    check: Callable[[Spec, Any, str, float], None]
    batch_of: Callable[[Sequence[Any], Spec], Any]
    embed: Callable[[Any, Residual, int], tuple[Float[Array, "N D"], Bool[Array, "N"]]]
    own_rows: Callable[[Any, int], Int[np.ndarray, "tokens"]]
    names: Callable[[Any, Spec], tuple[str, ...]]


def _names(prompt: Prompt, spec: Spec) -> tuple[str, ...]:
    return token_names(prompt.examples, spec.n)


# Theorems 1 to 3: n - 1 inputs and a label, and last the query's inputs and a blank.
LABELED = Layout(check_prompt, batch_of, embed, own_rows, _names)
