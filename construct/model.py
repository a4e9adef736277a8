"""The transformer that one calls: validates a prompt, picks an evaluator, decodes what was read."""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import Mesh
from jaxtyping import Array, ArrayLike, Bool, Float

from construct import checks
from construct.answer import Answer, Trace
from construct.evaluate.bf16 import pieces_of
from construct.evaluate.certificate import NoCertificate, certificate, shorter_weights
from construct.evaluate.dense import read_prompts
from construct.evaluate.memory import Memory, remember
from construct.evaluate.mesh import check_mesh
from construct.evaluate.places import (
    Hooks,
    check_hooks,
    place_of,
    places_of,
    run_touched,
    touched,
)
from construct.evaluate.record import heads_of, read_hooked, record
from construct.evaluate.reference import read_prompt
from construct.evaluate.streaming import answer_blocks, answer_prompts
from construct.layers import Stack, check_x64, remembered
from construct.layout import AnyPrompt
from construct.prompt import Batch, Prompt, check_count, check_query, embed
from construct.readout import Readings
from construct.saved import load, save

# Up to so many tokens the dense pass answers, and batches: measured on two cores (see
# benchmarks/peers.py for what is near it). Results do not depend on it.
DENSE_TOKENS = 128
EVALUATORS = ("dense", "restricted", "reference", "bf16")


class Transformer(Stack):
    """A stack of layers that answers prompts; the weights' constructors make it, see
    `construct.theorem1.build`."""

    @overload
    def __call__(
        self,
        prompts: AnyPrompt,
        *,
        hooks: Hooks | None = None,
        evaluator: str | None = None,
        enforce: bool = True,
    ) -> Answer: ...

    @overload
    def __call__(
        self,
        prompts: Sequence[AnyPrompt],
        *,
        hooks: Hooks | Sequence[Hooks | None] | None = None,
        evaluator: str | None = None,
        enforce: bool = True,
    ) -> list[Answer]: ...

    def __call__(
        self,
        prompts: AnyPrompt | Sequence[AnyPrompt],
        *,
        hooks: Hooks | Sequence[Hooks | None] | None = None,
        evaluator: str | None = None,
        enforce: bool = True,
    ) -> Answer | list[Answer]:
        """Answer a prompt, or a list of prompts of any lengths, short ones in one batched pass.

        evaluator: 'dense' scores all pairs of tokens; 'restricted' only those on the layers'
        declared supports, in time linear in the tokens; None picks one of these by size.
        `answer.evaluator` says which it was. They agree to rounding. 'reference' is the restricted
        one written to be read (`construct.evaluate.reference`). 'bf16' is dense with scores and
        weighted sums of bfloat16 numbers, for functions of one-hot words: the same answer to the
        last bit, or refused if those are not exact.
        hooks: {place: function}, or for a list of prompts one such mapping (or None) a prompt. A
        place is one of `places()`, or (a layer's name or place of the stream, subspace). The
        function is called with what is there of the prompt's own tokens, a JAX array; what it
        returns, a JAX or NumPy array, replaces it, and None leaves it. With hooks nothing is
        enforced: the stream is the caller's.
        enforce: raise ValueError when the run shows a hypothesis to fail; False answers all the
        same, by the dense evaluator.
        Raises ValueError when a prompt is outside the theorem's hypotheses.
        """
        if isinstance(prompts, Sequence):
            names = [f"prompts[{i}]" for i in range(len(prompts))]
            return self._answers(list(prompts), names, hooks, evaluator, enforce) if prompts else []
        return self._answers([prompts], ["prompt"], hooks, evaluator, enforce)[0]

    def places(self) -> tuple[str, ...]:
        """The places that a hook can read and replace, in the order in which a run passes them; see
        `construct.evaluate.places` for what is there."""
        return places_of(self)

    def embed(
        self,
        inputs: Float[ArrayLike, "*batch m slots d"],
        labels: Float[ArrayLike, "*batch m d"],
        query: Float[ArrayLike, "*batch slots d"],
    ) -> tuple[Float[Array, "*batch N D"], Bool[Array, "*batch N"]]:
        """The residual stream of prompts before the first layer, and which tokens are real (all).

        A pure function of arrays that traces under jax.jit, vmap and grad; nothing is validated but
        shapes. N = 1 + (m' + 1) n. Raises ValueError where JAX's 64-bit types are off and the model
        needs them.
        """
        check_x64(self.spec.dtype)
        spec = self.spec
        x, y, q = (jnp.asarray(part, spec.dtype) for part in (inputs, labels, query))
        count = check_count(spec, x, 3)
        checks.trailing("inputs", x, (count, spec.n - 1, spec.d), "(m', n-1, d)")
        checks.trailing("labels", y, (count, spec.d), "(m', d)")
        checks.trailing("query", q, (spec.n - 1, spec.d), "(n-1, d)")
        lead = x.shape[:-3]
        flat = Batch(
            x.reshape(-1, *x.shape[-3:]),
            jnp.broadcast_to(y, (*lead, *y.shape[-2:])).reshape(-1, *y.shape[-2:]),
            jnp.broadcast_to(q, (*lead, *q.shape[-2:])).reshape(-1, *q.shape[-2:]),
            jnp.ones((math.prod(lead), x.shape[-3]), bool),
        )
        stream, real = jax.vmap(lambda one: embed(one, self.residual, self.spec.m))(flat)
        return stream.reshape(*lead, *stream.shape[1:]), real.reshape(*lead, -1)

    def forward(
        self,
        stream: Float[Array, "*batch N D"],
        real: Bool[Array, "*batch N"],
        *,
        hooks: Hooks | None = None,
    ) -> Float[Array, "*batch N D"]:
        """The residual stream after the last layer: a pure function that traces under jax.jit,
        vmap, grad and nnx.jit.

        The answer is `model.residual.read(out[..., -1, :], "y")`. hooks: as in a call, but called
        while this is traced, with one prompt's value, padding included. Raises ValueError where
        JAX's 64-bit types are off and the model needs them.
        """
        check_x64(self.spec.dtype)
        check_hooks(self, hooks)
        at = {place_of(key)[0] for key in hooks or {}}

        def touch(place: str, value: Array) -> Array:
            return touched(hooks or {}, self.residual, place, value) if place in at else value

        def one(stream: Array, real: Array) -> Array:
            return run_touched(self.layers, stream, real, touch, at)

        lead = stream.shape[:-2]
        if not lead:
            return one(stream, real)
        flat = (stream.reshape(-1, *stream.shape[-2:]), real.reshape(-1, real.shape[-1]))
        return jax.vmap(one)(*flat).reshape(stream.shape)

    def save(self, path: str | os.PathLike) -> None:
        """Write the model to one safetensors file; see `construct.saved`."""
        save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Transformer":
        """The model that `save` wrote: the same bits, no task needed. Raises ValueError for a file
        that is damaged, foreign or newer."""
        return load(path)

    def __str__(self) -> str:
        return repr(self)

    def __repr__(self) -> str:
        spec, names = self.spec, ", ".join(layer.name for layer in self.layers)
        kind = f"{spec.dtype}, {'identity' if not spec.features else f'{spec.features} ReLU'}"
        return (
            f"Transformer({self.readout.name}: K = {spec.K} tasks, d = {spec.d}, "
            f"m = {spec.m}, n = {spec.n}; {kind} features\n"
            f"  {len(self.layers)} layers of {spec.K} heads: {names}\n"
            f"  D = {self.residual.dim}: "
            f"{', '.join(f'{name} {size}' for name, size in self.residual.subspaces)})"
        )

    def stream(
        self,
        blocks: Prompt | Iterable[Any],
        query: Any,
        *,
        progress: Callable[[int], None] | None = None,
        screen: bool | None = None,
        mesh: Mesh | None = None,
    ) -> Answer:
        """Answer a prompt that need not fit into memory, by the restricted evaluator.

        blocks: any iterable of (inputs (b, n-1, d), labels (b, d)), at most m examples in all,
        which may fill the same arrays with every block; or a Prompt, whose own query is left aside.
        query (n-1, d).
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
        self._check_served("stream")
        certificate(self).require()
        if mesh is not None:
            check_mesh(self.spec, mesh)
        query = checks.floats("query", query, ("n-1", "d"))
        checks.shape("query", query, (self.spec.n - 1, self.spec.d), "(n-1, d)")
        check_query(self.spec, query, "prompt", self.gains.input_radius)
        return answer_blocks(
            self, blocks, query, name="prompt", progress=progress, screen=screen, mesh=mesh
        )

    def remember(
        self,
        examples: Any,
        *,
        progress: Callable[[int], None] | None = None,
        screen: bool | None = None,
        mesh: Mesh | None = None,
    ) -> Memory:
        """A prompt's examples, recognized once and ready for any query: `memory.ask(query)`.

        examples: a Prompt, whose own query is left aside, or blocks as `stream` takes them; the
        rest as there. Raises ValueError as `stream` does, and for weights that were changed.
        """
        self._check_served("remember")
        if mesh is not None:
            check_mesh(self.spec, mesh)
        return remember(self, examples, progress=progress, screen=screen, mesh=mesh)

    def trace(
        self,
        prompt: AnyPrompt,
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
        layout = self.readout.layout
        layout.check(self.spec, prompt, "prompt", self.gains.input_radius)
        check_hooks(self, hooks)
        self._check_numbers()
        self._check_layers(enforce=enforce and not hooks)
        readings, found, own = record(self, prompt, hooks, attention)
        names = [layer.name for layer in self.layers]
        seen = dict(zip(names, found.seen, strict=True))
        streams = {
            name: stream[own] for name, stream in zip(["embed", *names], found.streams, strict=True)
        }
        weights = {name: one.pattern[:, own][:, :, own] for name, one in seen.items() if attention}
        before = dict(zip(names, streams.values(), strict=False))
        banks = {  # as they are now: the model may be changed while the trace is kept
            layer.name: [(bank.W_V[...], bank.W_O[...]) for bank in layer.banks]
            for layer in self.layers
        }

        def written(name: str) -> np.ndarray:
            if name in found.results:
                return found.results[name][:, own]
            return heads_of(banks[name], before[name], weights[name])

        return Trace(
            answer=self._decode(prompt, "prompt", readings, enforce=enforce and not hooks),
            residual=self.residual,
            tokens=layout.names(prompt, self.spec),
            streams=streams,
            middles={name: middle[own] for name, middle in zip(names, found.middles, strict=True)},
            gaps={name: one.gap[:, own] for name, one in seen.items()},
            near={name: one.near[:, own] for name, one in seen.items()},
            best={name: one.best[:, own] for name, one in seen.items()},
            attention=weights,
            written=written,
        )

    def _answers(
        self,
        prompts: list[Any],
        names: list[str],
        hooks: Hooks | Sequence[Hooks | None] | None,
        evaluator: str | None,
        enforce: bool,
    ) -> list[Answer]:
        """The short prompts as one dense batch, longer ones by the restricted evaluator.

        Raises ValueError on a hypothesis that does not hold, and if the evaluator that is asked for
        cannot be had.
        """
        for prompt, name in zip(prompts, names, strict=True):
            self.readout.layout.check(self.spec, prompt, name, self.gains.input_radius)
        self._check_numbers()
        if hooks is not None and (isinstance(hooks, str) or not isinstance(hooks, Sequence)):
            check_hooks(self, hooks)
        if hooks:
            self._only_dense(evaluator, "hooks need")
            return self._hooked(prompts, names, hooks)
        if not enforce:
            self._only_dense(evaluator, "answers without the hypotheses need")
            return self._dense(prompts, names, enforce=False)
        answers: dict[int, Answer] = {}
        if evaluator is not None:
            self._check_evaluator(evaluator)
        if evaluator == "reference":
            certificate(self).require()
            for i, (prompt, name) in enumerate(zip(prompts, names, strict=True)):
                readings = read_prompt(self, prompt)
                answers[i] = self._decode(prompt, name, readings, evaluator="reference")
        elif evaluator in (None, "restricted"):
            asked = [
                i
                for i, prompt in enumerate(prompts)
                if evaluator is not None
                or (
                    1 + (len(prompt.labels) + 1) * self.spec.n > DENSE_TOKENS
                    and "restricted" in self._evaluators
                )
            ]
            try:
                together = self._restricted([prompts[i] for i in asked], [names[i] for i in asked])
                answers |= dict(zip(asked, together, strict=True))
            except NoCertificate:
                if evaluator is not None:
                    raise
        rest = [i for i in range(len(prompts)) if i not in answers]
        together = self._dense(
            [prompts[i] for i in rest], [names[i] for i in rest], narrow=evaluator == "bf16"
        )
        answers |= dict(zip(rest, together, strict=True))
        return [answers[i] for i in range(len(prompts))]

    def _restricted(self, prompts: list[Prompt], names: list[str]) -> list[Answer]:
        if not prompts:
            return []
        try:
            return answer_prompts(self, prompts, names)
        except NoCertificate:
            raise
        except ValueError as error:
            raise self._refusal(error) from None

    def _only_dense(self, evaluator: str | None, who: str) -> None:
        if evaluator not in (None, "dense"):
            raise checks.refuse(
                "evaluator",
                repr(evaluator),
                f"{who} the dense evaluator",
                "leave out one of the two",
            )

    def _check_layers(self, *, enforce: bool) -> None:
        """Refuse a model without a layer that the theorem reads; and to enforce hypotheses, weights
        that were cast to shorter floats than these are for. For the restricted evaluator the
        certificate says the same."""
        held = {layer.name for layer in self.layers}
        for name in self.readout.layers:
            if name not in held:
                self.layer(name)  # raises
        least = np.dtype(self.spec.dtype).itemsize
        # `shorter_weights` says which they are; a walk of its own in every call would be felt.
        parts = [
            (bank.W_Q, bank.W_K, bank.W_V, bank.W_O)
            for layer in self.layers
            for bank in layer.banks
        ]
        parts += [
            (mlp.W_1, mlp.W_2) for mlp in (layer.mlp for layer in self.layers) if mlp is not None
        ]
        if enforce and any(
            weight.get_raw_value().dtype.itemsize < least for part in parts for weight in part
        ):
            raise checks.refuse(
                "model",
                shorter_weights(self),
                f"must have weights of dtype = {self.spec.dtype}, for which it was built",
                "cast them back; enforce=False answers all the same",
            )

    def _check_numbers(self) -> None:
        """Refuse weights that are traced."""
        if isinstance(self.layers[0].banks[0].W_K.get_raw_value(), Tracer):
            raise checks.refuse(
                "model",
                "traced weights",
                "must be numbers where hypotheses are checked",
                "under jit, vmap and grad use model.embed and model.forward",
            )

    def _hooked(
        self,
        prompts: list[Any],
        names: list[str],
        hooks: Hooks | Sequence[Hooks | None],
    ) -> list[Answer]:
        """One dense batch in stages, with hooks between."""
        self._check_layers(enforce=False)
        if not isinstance(hooks, Mapping):
            if len(hooks) != len(prompts):
                raise checks.refuse(
                    "hooks",
                    f"{len(hooks)} mappings",
                    f"must be one for each of {len(prompts)} prompts",
                    "pass None where a prompt has none, or one mapping for all",
                )
            each = list(hooks)
        else:
            each = [hooks] * len(prompts)
        for one in each:
            check_hooks(self, one)
        readings = read_hooked(self, prompts, each)
        return self._decoded(prompts, names, readings, enforce=False)

    @property
    def _evaluators(self) -> tuple[str, ...]:
        return self.readout.evaluators or EVALUATORS

    def _check_served(self, call: str) -> None:
        """Refuse a call that the restricted evaluator answers, for a theorem that it does not
        serve."""
        if "restricted" not in self._evaluators:
            raise checks.refuse(
                f"model.{call}",
                f"asked of {self.readout.name}",
                "needs the restricted evaluator, which does not know this theorem's prompts",
                "call the model on the whole prompt",
            )

    def _check_evaluator(self, name: str) -> None:
        """Refuse an evaluator's name that is unknown, one that does not serve this theorem, or
        'bf16' with another dtype than float32."""
        if name not in EVALUATORS:
            raise checks.refuse(
                "evaluator",
                repr(name),
                f"must be one of {', '.join(self._evaluators)}",
                "leave it out to pick by size",
            )
        if name not in self._evaluators:
            raise checks.refuse(
                "evaluator",
                repr(name),
                f"does not serve {self.readout.name}, whose prompts are laid out in another way",
                f"use evaluator={self._evaluators[0]!r}, or leave it out",
            )
        if name == "bf16" and self.spec.dtype != "float32":
            raise checks.refuse(
                "evaluator",
                "'bf16'",
                f"keeps its sums in float32, and cannot give the answer in {self.spec.dtype}",
                "use evaluator='dense', or build with dtype='float32'",
            )

    def _dense(
        self,
        prompts: list[Any],
        names: list[str],
        narrow: bool = False,
        enforce: bool = True,
    ) -> list[Answer]:
        """One dense pass; `narrow` multiplies bfloat16 numbers in it, and refuses a prompt for
        which that is not exact."""
        if not prompts:
            return []
        self._check_layers(enforce=enforce)
        if not narrow:
            return self._decoded(prompts, names, read_prompts(self, prompts), enforce=enforce)
        pieces = remembered(self, ("pieces",), lambda: pieces_of(self))
        readings = read_prompts(self, prompts, pieces)
        for i, (prompt, name) in enumerate(zip(prompts, names, strict=True)):
            if np.isnan(readings.vector[i]).any():
                # A hypothesis that does not hold is the better reason.
                self._dense([prompt], [name])
                raise checks.refuse(
                    f"{name}: evaluator",
                    "'bf16'",
                    "multiplies numbers of 8 bits, and with these weights this prompt makes it "
                    "multiply others",
                    "use evaluator='dense', or inputs, labels and matrices of small integers",
                )
        return self._decoded(prompts, names, readings, evaluator="bf16")

    def _decoded(
        self, prompts: list[Any], names: list[str], readings: Readings, **how: Any
    ) -> list[Answer]:
        """The answers to a batch of prompts; the first axis of the readings is the prompts'."""
        by_prompt = (
            Readings(*(None if part is None else part[i] for part in readings))
            for i in range(len(prompts))
        )
        return [
            self._decode(prompt, name, one, **how)
            for prompt, name, one in zip(prompts, names, by_prompt, strict=True)
        ]

    def _decode(
        self,
        prompt: AnyPrompt,
        name: str,
        readings: Readings,
        *,
        enforce: bool = True,
        evaluator: str = "dense",
    ) -> Answer:
        try:
            recognized = self.readout.decode(
                self, prompt.labels, name, readings, enforce=enforce, first=0
            )
        except ValueError as error:
            raise self._refusal(error) from None
        return Answer(readings.vector, recognized, self.spec.K, evaluator, readings.posterior)

    def _refusal(self, error: ValueError) -> ValueError:
        """A refusal of a run's figures; if weights were changed, that these may be why."""
        if self.as_built:
            return error
        return ValueError(
            f"{error}. The weights are not those that were built: if they were changed, the figure "
            "may be theirs and not the prompt's; enforce=False answers all the same"
        )
