"""Corners of the tape that no model of the catalogue reaches by itself."""

from app.core.memory.tape import Tape


def test_what_needs_no_gradient_has_no_backward() -> None:
    """A result of frozen weights and inputs: the gradient that it is given ends there."""
    tape = Tape()
    weight, x = tape.parameter(4, 2, trained=False), tape.fresh(4, 2)
    out = tape.fresh(4, 2)
    tape.join((out,), (weight, x), (weight, x), lambda _: (tape.fresh(4, 2), tape.fresh(4, 2)))
    assert out.node is None
    before = tape.now
    tape.backward(out, tape.fresh(4, 2))
    assert tape.now == before
