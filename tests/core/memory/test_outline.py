"""The outline of a step: which of its moments can be the highest, and on which base."""

from hypothesis import given
from hypothesis import strategies as st

from app.core.estimate import Phase
from app.core.memory.outline import Base, Group, Heights, ends
from app.core.memory.tape import (
    ACTIVATIONS,
    CHUNK,
    RANK,
    ROW,
    ROW_SQUARE,
    SLOTS,
    SQUARE,
    TEMPORARIES,
    TOKEN,
    Lengths,
    Moment,
)

UNITS = (1, TOKEN, SQUARE, ROW, ROW_SQUARE, CHUNK, RANK, RANK * TOKEN)
PHASES = (Phase.FORWARD, Phase.BACKWARD, Phase.EVALUATION)
sizes = st.tuples(*[st.integers(0, 3)] * len(UNITS)).map(
    lambda counts: sum(count * unit for count, unit in zip(counts, UNITS, strict=True))
)
lengths = st.builds(
    Lengths, tokens=st.integers(1, 9), row=st.integers(1, 9), chunk=st.integers(0, 9), rank=st.integers(0, 9)
)


def moment(size: int) -> Moment:
    """One temporary tensor."""
    return Moment(total=size, slots=tuple(size if slot == TEMPORARIES else 0 for slot in range(SLOTS)))


def group(phase: Phase, moments: list[int], bases: list[int]) -> Group:
    """Temporaries on activations."""
    return Group(
        phase=phase,
        moments=tuple(moment(size) for size in moments),
        bases=tuple(Base(gradients=0, activations=size) for size in bases),
    )


groups = st.builds(
    group,
    st.sampled_from(PHASES),
    st.lists(sizes, min_size=1, max_size=3),
    st.lists(sizes, min_size=1, max_size=3),
)


@given(st.lists(groups, min_size=1, max_size=4), lengths)
def test_the_first_of_the_highest_is_found(given: list[Group], at: Lengths) -> None:
    """However many rows were left out: of what is written out one by one."""
    written = [(one.phase, m.total, b.activations) for one in given for m in one.moments for b in one.bases]
    most = max(at.value(total) + at.value(below) for _, total, below in written)
    phase, total, below = next(row for row in written if at.value(row[1]) + at.value(row[2]) == most)
    found = Heights(given).highest(at)
    assert (found.bytes, found.phase, sum(found.sizes)) == (most, phase, most)
    assert (found.sizes[TEMPORARIES], found.sizes[ACTIVATIONS]) == (at.value(total), at.value(below))


@given(st.lists(groups, min_size=1, max_size=4))
def test_none_that_is_left_is_above_another(given: list[Group]) -> None:
    rows = Heights(given).rows
    pairs = [(a, b) for a in rows for b in rows if a is not b]
    assert not any(all(x >= y for x, y in zip(a, b, strict=True)) and a[:5] != b[:5] for a, b in pairs)


def test_a_moment_below_another_is_left_out() -> None:
    low, high = group(Phase.FORWARD, [TOKEN], [0]), group(Phase.BACKWARD, [2 * TOKEN], [1])
    assert [top.phase for top in Heights((low, high, low)).tops] == [Phase.BACKWARD]


def test_one_that_is_higher_for_some_lengths_stays() -> None:
    """A rank may be nothing, so what has more of it alone is above only what comes after."""
    ranked, wide = group(Phase.FORWARD, [TOKEN + RANK], [0]), group(Phase.BACKWARD, [2 * TOKEN], [0])
    again, plain = group(Phase.EVALUATION, [2 * TOKEN], [0]), group(Phase.EVALUATION, [TOKEN], [RANK])
    assert [top.phase for top in Heights((ranked, wide, again)).tops] == [Phase.FORWARD, Phase.BACKWARD]
    later = group(Phase.BACKWARD, [TOKEN], [2 * RANK])
    assert [top.phase for top in Heights((plain, later)).tops] == [Phase.EVALUATION, Phase.BACKWARD]
    assert [top.phase for top in Heights((later, plain)).tops] == [Phase.BACKWARD]


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=12), lengths)
def test_what_is_between_two_bases_is_never_the_first_of_the_highest(
    counts: list[tuple[int, int, int]], at: Lengths
) -> None:
    bases = [Base(gradients=one * RANK, activations=two * TOKEN, weights=three) for one, two, three in counts]
    left = ends(bases)
    most = max(at.value(base.total) for base in bases)
    first = next(base for base in bases if at.value(base.total) == most)
    assert next(base for base in left if at.value(base.total) == most) is first


def test_a_stack_leaves_its_ends() -> None:
    """Of equal layers and of those of one kind that come in turns with others; a bend outwards stays."""
    equal = [Base(gradients=place * RANK, activations=(40 - place) * TOKEN) for place in range(40)]
    turns = [base for place, base in enumerate(equal) if place % 4]
    assert (ends(equal), ends(turns)) == ([equal[0], equal[-1]], [turns[0], turns[-1]])
    bent = [Base(gradients=one, activations=two) for one, two in ((0, 3 * TOKEN), (5, 2 * TOKEN), (6, 0))]
    assert ends(bent) == bent
    flat = [Base(gradients=0, activations=size) for size in (3 * TOKEN, TOKEN, 2 * TOKEN)]
    assert ends(flat) == [flat[0], flat[2]]
