"""Counted floating point operations of products, layers and convolutions."""
import rushlight as rl
from rushlight.utils.flop_counter import FlopCounterMode


def count(function, **options):
    with FlopCounterMode(display=False, **options) as counter:
        function()
    return counter


def test_products_and_layers():
    assert count(lambda: rl.ones(2, 3) @ rl.ones(3, 4)).get_total_flops() == 2 * 2 * 3 * 4
    assert count(lambda: rl.bmm(rl.ones(5, 2, 3), rl.ones(5, 3, 4))).get_total_flops() == 5 * 2 * 2 * 3 * 4
    assert count(lambda: rl.addmm(rl.ones(4), rl.ones(2, 3), rl.ones(3, 4))).get_total_flops() == 2 * 2 * 3 * 4
    layer, conv = rl.nn.Linear(3, 4), rl.nn.Conv2d(2, 6, 3, groups=2, padding=1)
    assert count(lambda: layer(rl.ones(5, 3))).get_total_flops() == 2 * 5 * 3 * 4
    assert count(lambda: conv(rl.ones(1, 2, 8, 8))).get_total_flops() == 2 * 6 * 8 * 8 * 9
    assert count(lambda: rl.ones(3) + 1).get_total_flops() == 0


def test_backward_counts_two_more():
    assert count(lambda: rl.ones(2, 3) @ rl.ones(3, 4)).get_total_flops(backward=True) == 3 * 2 * 2 * 3 * 4


def test_own_formulas_and_the_table():
    counter = count(lambda: rl.sin(rl.ones(7)), custom_mapping={rl.sin: lambda x, result: x.numel()})
    assert counter.get_total_flops() == 7 and counter.get_flop_counts() == {"Global": {"torch.sin": 7}}
    assert "100.00%" in counter.get_table() and "torch.sin" in counter.get_table()
