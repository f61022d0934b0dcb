"""Bounded dictionaries: what was used last stays."""
from rushlight.base.memo import Memo


def test_a_memo_is_bounded_and_keeps_what_is_used():
    memo = Memo(8)
    memo.put("used", 1)
    for number in range(100):
        memo.put(number, number)
        assert memo.get("used") == 1 and len(memo) <= 8
    assert memo.get(0) is None and memo.get(99) == 99 and memo.get(97) == 97
    memo.clear()
    assert len(memo) == 0 and memo.get("used") is None
