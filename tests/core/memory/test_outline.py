"""The outline of a step: which of its moments can be the highest."""

from hypothesis import given
from hypothesis import strategies as st

from app.core.estimate import Phase
from app.core.memory.outline import Base, Group, contenders
from app.core.memory.tape import CHUNK, RANK, SLOTS, SQUARE, TOKEN, Moment

UNITS = (1, TOKEN, SQUARE, CHUNK, RANK, RANK * TOKEN)
sizes = st.tuples(*[st.integers(0, 3)] * len(UNITS)).map(
    lambda counts: sum(count * unit for count, unit in zip(counts, UNITS, strict=True))
)
groups = st.builds(
    lambda moments, bases: Group.of(
        Phase.FORWARD,
        [Moment(total=size, slots=(size,) * SLOTS) for size in moments],
        [Base(gradients=0, activations=size) for size in bases],
    ),
    st.lists(sizes, min_size=1, max_size=3),
    st.lists(sizes, min_size=1, max_size=3),
)


@given(
    st.lists(groups, min_size=1, max_size=4),
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 9), st.integers(0, 9)),
)
def test_what_is_left_out_is_never_the_highest(given: list[Group], lengths: tuple[int, int, int, int]) -> None:
    tokens, row, chunk, rank = lengths
    values = tokens, tokens * row, chunk, rank, tokens * rank
    left = contenders(given)
    highest = max(group.highest(values)[0] for group in given)
    first = next(group for group in given if group.highest(values)[0] == highest)
    assert next(group for group in left if group.highest(values)[0] == highest) is first


def test_a_group_below_another_is_left_out() -> None:
    low = Group.of(Phase.FORWARD, [Moment(total=TOKEN, slots=(TOKEN,) * SLOTS)], [Base(gradients=0, activations=0)])
    high = Group.of(
        Phase.BACKWARD, [Moment(total=2 * TOKEN, slots=(TOKEN,) * SLOTS)], [Base(gradients=1, activations=0)]
    )
    assert contenders((low, high, low)) == (high,)


def test_one_that_is_higher_for_some_lengths_stays() -> None:
    ranked = Group.of(
        Phase.FORWARD, [Moment(total=TOKEN + RANK, slots=(TOKEN,) * SLOTS)], [Base(gradients=0, activations=0)]
    )
    wide = Group.of(
        Phase.BACKWARD, [Moment(total=2 * TOKEN, slots=(TOKEN,) * SLOTS)], [Base(gradients=0, activations=0)]
    )
    same = Group.of(
        Phase.BACKWARD, [Moment(total=2 * TOKEN, slots=(TOKEN,) * SLOTS)], [Base(gradients=0, activations=0)]
    )
    assert contenders((ranked, wide, same)) == (ranked, wide, same)
