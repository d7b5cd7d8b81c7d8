"""The peak term by term: numbers while nobody asks, and what they say to people once somebody does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.core.adapter import Adapter
from app.core.architecture import Architecture
from app.core.estimate import Term
from app.core.memory.formulas import Formulas
from app.core.memory.image_formulas import batch_images
from app.core.memory.optimizer_forms import form_of
from app.core.memory.outline import Outline, Peak
from app.core.memory.sighted import sees
from app.core.memory.stepping import Stepping
from app.core.memory.tape import ACTIVATIONS, GRADIENTS, LOGITS, LOSS, TEMPORARIES, WEIGHTS
from app.core.messages import Param, message
from app.core.run import Run
from app.core.summand import Summand

SHARDED = frozenset(("weights", "adapter", "gradients", "optimizer"))
"""What FSDP's full shard and DeepSpeed's ZeRO-3 divide among GPUs: parameters, their gradients and states; of each the
buffers and statistics that are no parameters stay whole. The rest is each card's own, of its own batch."""
SOURCES = {
    "weights": "Axolotl loaders/model.py; PEFT utils/other.py; bitsandbytes functional.py; gptqmodel qlinear",
    "adapter": "PEFT tuners/*/layer.py; Axolotl loaders/adapter.py",
    "gradients": "PyTorch autograd/engine.cpp, autograd/input_buffer.cpp",
    "optimizer": "torch.optim; bitsandbytes optim/optimizer.py; torchao optim/adam.py; Axolotl utils/optimizers",
    "activations": "Transformers models/*/modeling_*.py; PEFT tuners/*/layer.py; torch.utils.checkpoint",
    "images": "Transformers models/*/image_processing_*.py, models/*/modeling_*.py; ATen cuda/IndexKernel.cu",
    "logits": "Transformers loss/loss_utils.py; Accelerate convert_outputs_to_fp32",
    "loss": "Transformers loss/loss_utils.py; Axolotl monkeypatch/loss; liger-kernel ops; TRL; arXiv:2411.09009",
    "temporaries": "PyTorch autograd/engine.cpp; bitsandbytes autograd/_functions.py; torch.optim",
}
"""What each term's formula was written from, in the versions of ``docs/accuracy.md``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Breakdown:
    """What lives at the peak: an outline's weights, bytes ``added`` by an adapter, an optimizer's states, and ``top``.

    The model, its run and the adapter are what the terms are explained with.
    """

    architecture: Architecture
    run: Run
    adapter: Adapter
    outline: Outline
    added: int
    stepping: Stepping
    top: Peak

    def terms(self) -> tuple[Term, ...]:
        """All of them, which sum to the peak."""
        sizes, steps, tokens = self.top.sizes, self.stepping, self.run.tokens
        architecture, words = self.architecture, self.architecture.vocab_size
        states: dict[str, Param] = {"optimizer": self.run.optimizer, "host_bytes": steps.on_host}
        seen = self.top.lengths.value(self.top.images.total)
        return (
            _term("weights", self.outline.weights + sizes[WEIGHTS], parameters=architecture.total_parameters),
            _term("adapter", self.added, parameters=self.adapter.added_parameters),
            _term("gradients", sizes[GRADIENTS], parameters=steps.parameters),
            _term("optimizer", steps.states - steps.on_host, self._where_states_live(), **states),
            _term("activations", sizes[ACTIVATIONS] - seen, tokens=tokens, layers=architecture.num_layers),
            *self._images(seen),
            _term("logits", sizes[LOGITS], tokens=tokens, vocab_size=words),
            _term("loss", sizes[LOSS], tokens=tokens, vocab_size=words),
            _term("temporaries", sizes[TEMPORARIES], tokens=tokens),
        )

    def _images(self, size: int) -> Iterator[Term]:
        """What the batch's images take, where there are any that are described."""
        sight = self.architecture.sight
        if sight is not None and sees(self.architecture, self.run):
            images = batch_images(sight, self.run, self.top.phase)
            yield _term("images", size, images=images, patches=sight.patches, tokens=sight.tokens)

    def formulas(self) -> Mapping[str, tuple[Summand, ...]]:
        """How each comes about."""
        return Formulas(
            architecture=self.architecture,
            run=self.run,
            adapter=self.adapter,
            outline=self.outline,
            stepping=self.stepping,
            top=self.top,
        ).all()

    def __eq__(self, other: object) -> bool:
        """Whether both say the same, wherever their numbers are from."""
        return isinstance(other, Breakdown) and self.terms() == other.terms()

    def __hash__(self) -> int:
        """Of what the terms hold as it is."""
        return hash((self.added, self.run.tokens, self.architecture.num_layers))

    def _where_states_live(self) -> str:
        """Which sentence says where the states that are not counted on the GPU are."""
        if not self.stepping.on_host:
            return ""
        return ".paged" if form_of(self.run.optimizer).paged else ".on_host"


def _term(code: str, size: int, where: str = "", **params: Param) -> Term:
    said = message(f"term.{code}.explanation{where}", **params)
    return Term(code=code, bytes=size, explanation=said, sharded=code in SHARDED, source=SOURCES[code])
