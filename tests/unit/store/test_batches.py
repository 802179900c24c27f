"""Many things a few at a time."""

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from tuner.store.batches import batches


@given(st.lists(st.integers(), max_size=50), st.integers(1, 60))
def test_every_item_comes_once_in_order_and_only_the_last_batch_is_smaller(items: list[int], size: int):
    found = list(batches(iter(items), size))
    assert list(chain.from_iterable(found)) == items
    assert all(len(batch) == size for batch in found[:-1])
    assert all(found)
