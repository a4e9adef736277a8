"""The transformer that one calls: validates a prompt, picks an evaluator, decodes what was read."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

import numpy as np
from jax.sharding import Mesh

from construct import checks
from construct.answer import Answer, Trace
from construct.evaluate.bf16 import pieces_of
from construct.evaluate.certificate import certificate
from construct.evaluate.dense import read_prompts
from construct.evaluate.mesh import check_mesh
from construct.evaluate.record import Hooks, check_hooks, record
from construct.evaluate.streaming import answer_blocks
from construct.layers import Stack, remembered
from construct.prompt import Prompt, check_prompt, check_query
from construct.readout import Readings
from construct.roles import token_names

# Up to so many tokens the dense pass answers, and batches: measured on two cores (see
# benchmarks/peers.py for what is near it). Results do not depend on it.
DENSE_TOKENS = 128


class Transformer(Stack):
    """A stack of layers that answers prompts; the weights' constructors make it, see
    `construct.theorem1.build`."""

    @overload
    def __call__(
        self, prompts: Prompt, *, hooks: Hooks | None = None, evaluator: str | None = None
    ) -> Answer: ...

    @overload
    def __call__(
        self, prompts: Sequence[Prompt], *, hooks: Hooks | None = None, evaluator: str | None = None
    ) -> list[Answer]: ...

    def __call__(
        self,
        prompts: Prompt | Sequence[Prompt],
        *,
        hooks: Hooks | None = None,
        evaluator: str | None = None,
    ) -> Answer | list[Answer]:
        """Answer a prompt, or a list of prompts of any lengths, short ones in one batched pass.

        evaluator: 'dense' scores all pairs of tokens; 'restricted' only those on the layers'
        declared supports, in time linear in the tokens; None picks one of these by size.
        `answer.evaluator` says which it was. They agree to rounding. 'bf16' is dense with scores
        and weighted sums of bfloat16 numbers, for functions of one-hot words: the same answer to
        the last bit, or refused if those are not exact.
        hooks: {(layer name, subspace): function}, called with the subspace of the residual stream
        after that layer, (N, size); what it returns, unless None, replaces it. Tokens beyond the
        prompt's own (padding) come before the query's.
        Raises ValueError when a prompt is outside the theorem's hypotheses.
        """
        if isinstance(prompts, Sequence):
            names = [f"prompts[{i}]" for i in range(len(prompts))]
            return self._answers(list(prompts), names, hooks, evaluator) if prompts else []
        return self._answers([prompts], ["prompt"], hooks, evaluator)[0]

    def stream(
        self,
        blocks: Iterable[Any],
        query: Any,
        *,
        progress: Callable[[int], None] | None = None,
        screen: bool | None = None,
        mesh: Mesh | None = None,
    ) -> Answer:
        """Answer a prompt that need not fit into memory, by the restricted evaluator.

        blocks: any iterable of (inputs (b, n-1, d), labels (b, d)), at most m examples in all,
        which may fill the same arrays with every block; query (n-1, d).
        progress: called with the number of examples done so far. screen: certify most wrong tasks
        off by a few coordinates of their residuals; None does where there are many tasks. The
        recognized tasks are the same either way.
        mesh: devices to share the work, with an axis 'examples' and, if heads are to be shared too,
        an axis 'heads' that divides K; None: one device. With several processes (jax.distributed)
        all of them call this with the same blocks; a process converts and copies only the rows of
        its own devices, so that blocks mapped with mode 'r' are read in shares.
        Raises ValueError when the prompt is outside the theorem's hypotheses, or the weights have
        no certificate; ConnectionError when another process of the mesh is gone.
        """
        certificate(self).require()
        if mesh is not None:
            check_mesh(self.spec, mesh)
        query = checks.floats("query", query, ("n-1", "d"))
        checks.shape("query", query, (self.spec.n - 1, self.spec.d), "(n-1, d)")
        check_query(self.spec, query, "prompt", self.gains.input_radius)
        return answer_blocks(
            self, blocks, query, name="prompt", progress=progress, screen=screen, mesh=mesh
        )

    def trace(
        self,
        prompt: Prompt,
        *,
        hooks: Hooks | None = None,
        attention: bool = True,
        enforce: bool = True,
    ) -> Trace:
        """Answer one prompt and keep every layer's residual stream, score gaps and (on request)
        attention weights.

        enforce: raise ValueError when the run shows a hypothesis to fail, as a call does; False
        records it all the same. With hooks nothing is enforced: the stream is the caller's.
        """
        spec = self.spec
        check_prompt(spec, prompt, "prompt", self.gains.input_radius)
        check_hooks(self, hooks)
        readings, found, real = record(self, prompt, hooks, attention)
        names = [layer.name for layer in self.layers]
        seen = dict(zip(names, found.seen, strict=True))
        streams = zip(["embed", *names], found.streams, strict=True)
        kept = seen if attention else {}
        return Trace(
            answer=self._decode(prompt, "prompt", readings, enforce=enforce and not hooks),
            residual=self.residual,
            tokens=token_names(prompt.examples, spec.n),
            streams={name: stream[real] for name, stream in streams},
            gaps={name: one.gap[:, real] for name, one in seen.items()},
            near={name: one.near[:, real] for name, one in seen.items()},
            best={name: one.best[:, real] for name, one in seen.items()},
            attention={name: one.attention[:, real][:, :, real] for name, one in kept.items()},
        )

    def _answers(
        self, prompts: list[Prompt], names: list[str], hooks: Hooks | None, evaluator: str | None
    ) -> list[Answer]:
        """The short prompts as one dense batch, long ones one by one by the restricted evaluator.

        Raises ValueError on a hypothesis that does not hold, and if the evaluator that is asked for
        cannot be had.
        """
        for prompt, name in zip(prompts, names, strict=True):
            check_prompt(self.spec, prompt, name, self.gains.input_radius)
        if hooks:
            if evaluator not in (None, "dense"):
                raise checks.refuse(
                    "evaluator",
                    repr(evaluator),
                    "hooks need the dense evaluator",
                    "leave out one of the two",
                )
            return [self.trace(one, hooks=hooks, attention=False).answer for one in prompts]
        evaluators = [self._evaluator(prompt, evaluator) for prompt in prompts]
        dense = [i for i, one in enumerate(evaluators) if one != "restricted"]
        together = self._dense(
            [prompts[i] for i in dense], [names[i] for i in dense], narrow=evaluator == "bf16"
        )
        answers = dict(zip(dense, together, strict=True))
        for i, (prompt, name) in enumerate(zip(prompts, names, strict=True)):
            if evaluators[i] == "restricted":
                blocks = [(prompt.inputs, prompt.labels)]
                answers[i] = answer_blocks(self, blocks, prompt.query, name=name)
        return [answers[i] for i in range(len(prompts))]

    def _evaluator(self, prompt: Prompt, asked: str | None) -> str:
        """Which evaluator a prompt goes to: the one that is asked for, or by size 'dense' or
        'restricted'.

        Raises ValueError for an unknown name, weights without certificate ('restricted'), or
        another dtype than float32 ('bf16').
        """
        if asked is None:
            tokens = 1 + (len(prompt.labels) + 1) * self.spec.n
            return "restricted" if tokens > DENSE_TOKENS and certificate(self).valid else "dense"
        if asked not in ("dense", "bf16", "restricted"):
            raise checks.refuse(
                "evaluator",
                repr(asked),
                "must be 'dense', 'bf16' or 'restricted'",
                "leave it out to pick by size",
            )
        if asked == "restricted":
            certificate(self).require()
        if asked == "bf16" and self.spec.dtype != "float32":
            raise checks.refuse(
                "evaluator",
                "'bf16'",
                f"keeps its sums in float32, and cannot give the answer in {self.spec.dtype}",
                "use evaluator='dense', or build with dtype='float32'",
            )
        return asked

    def _dense(self, prompts: list[Prompt], names: list[str], narrow: bool = False) -> list[Answer]:
        """One dense pass; `narrow` multiplies bfloat16 numbers in it, and refuses a prompt for
        which that is not exact."""
        if not prompts:
            return []
        pieces = remembered(self, ("pieces",), lambda: pieces_of(self)) if narrow else None
        readings = read_prompts(self, prompts, pieces)
        answers = []
        for i, (prompt, name) in enumerate(zip(prompts, names, strict=True)):
            one = Readings(*(None if part is None else part[i] for part in readings))
            if narrow and np.isnan(one.vector).any():
                # A hypothesis that does not hold is the better reason.
                self._dense([prompt], [name])
                raise checks.refuse(
                    f"{name}: evaluator",
                    "'bf16'",
                    "multiplies numbers of 8 bits, and with these weights this prompt makes it "
                    "multiply others",
                    "use evaluator='dense', or inputs, labels and matrices of small integers",
                )
            answers.append(self._decode(prompt, name, one, evaluator="bf16" if narrow else "dense"))
        return answers

    def _decode(
        self,
        prompt: Prompt,
        name: str,
        readings: Readings,
        *,
        enforce: bool = True,
        evaluator: str = "dense",
    ) -> Answer:
        recognized = self.readout.decode(
            self, prompt.labels, name, readings, enforce=enforce, first=0
        )
        return Answer(readings.vector, recognized, self.spec.K, evaluator)
