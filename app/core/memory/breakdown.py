"""The peak term by term: numbers while nobody asks, and what they say to people once somebody does."""

from dataclasses import dataclass

from app.core.estimate import Term
from app.core.memory.optimizer_forms import form_of
from app.core.memory.outline import Peak
from app.core.memory.stepping import Stepping
from app.core.memory.tape import ACTIVATIONS, GRADIENTS, LOGITS, LOSS, TEMPORARIES, WEIGHTS
from app.core.messages import Param, message


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Breakdown:
    """What lives at the peak: bytes of base weights and of an adapter, an optimizer's states, and ``top`` beside them.

    The other numbers are what the terms are explained with; ``tokens`` are those of a micro batch.
    """

    weights: int
    adapter: int
    stepping: Stepping
    top: Peak
    optimizer: str
    total_parameters: int
    added_parameters: int
    tokens: int
    layers: int
    vocab_size: int

    def terms(self) -> tuple[Term, ...]:
        """All of them, which sum to the peak."""
        sizes, steps, tokens, vocab_size = self.top.sizes, self.stepping, self.tokens, self.vocab_size
        states: dict[str, Param] = {"optimizer": self.optimizer, "host_bytes": steps.on_host}
        return (
            _term("weights", self.weights + sizes[WEIGHTS], sharded=True, parameters=self.total_parameters),
            _term("adapter", self.adapter, parameters=self.added_parameters),
            _term("gradients", sizes[GRADIENTS], sharded=True, parameters=steps.parameters),
            _term("optimizer", steps.states - steps.on_host, self._where_states_live(), sharded=True, **states),
            _term("activations", sizes[ACTIVATIONS], tokens=tokens, layers=self.layers),
            _term("logits", sizes[LOGITS], tokens=tokens, vocab_size=vocab_size),
            _term("loss", sizes[LOSS], tokens=tokens, vocab_size=vocab_size),
            _term("temporaries", sizes[TEMPORARIES], tokens=tokens),
        )

    def __eq__(self, other: object) -> bool:
        """Whether both say the same, wherever their numbers are from."""
        return isinstance(other, Breakdown) and self.terms() == other.terms()

    def __hash__(self) -> int:
        """Of what the terms hold as it is."""
        return hash((self.adapter, self.tokens, self.layers))

    def _where_states_live(self) -> str:
        """Which sentence says where the states that are not counted on the GPU are."""
        if not self.stepping.on_host:
            return ""
        return ".paged" if form_of(self.optimizer).paged else ".on_host"


def _term(code: str, size: int, where: str = "", *, sharded: bool = False, **params: Param) -> Term:
    said = message(f"term.{code}.explanation{where}", **params)
    return Term(code=code, bytes=size, explanation=said, sharded=sharded)
