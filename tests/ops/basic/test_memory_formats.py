"""Strides of results: channels_last through joins and paddings, columns of factorisations, ranks of formats."""

import pytest
import rushlight as rl


def last(*shape):
    return rl.ones(*shape).contiguous(memory_format=rl.channels_last if len(shape) == 4 else rl.channels_last_3d)


def test_cat_keeps_channels_last_of_slices():
    x = last(2, 2, 3, 2)
    assert rl.cat((x[:, :, :2], x[:, :, 1:]), -1).stride() == (16, 1, 8, 2)
    assert rl.cat((x[:, :1], x[:, :1]), 1).stride() == (12, 1, 4, 2)
    assert rl.cat((x, x.contiguous()), 1).stride() == (24, 6, 2, 1)
    z = last(2, 3, 2, 2, 2)
    assert rl.cat([z[..., :1], z], -1).stride() == (36, 1, 18, 9, 3)


def test_stack_splits_what_cat_gives():
    x = last(2, 2, 3, 2)
    assert rl.stack([x, x]).stride() == (24, 12, 1, 4, 2)
    assert rl.stack([x, x], 1).stride() == (24, 2, 1, 8, 4)
    assert rl.stack([x, x], -1).is_contiguous()
    values = rl.arange(24.0).view(2, 2, 3, 2).contiguous(memory_format=rl.channels_last)
    for dim in range(5):
        assert rl.stack([values, values + 1], dim).select(dim, 1).tolist() == (values + 1).tolist()


def test_padding_keeps_channels_last():
    assert rl.constant_pad_nd(rl.rand(1, 2, 5, 3).contiguous(memory_format=rl.channels_last), [1, 2]).stride() \
        == (60, 1, 12, 2)
    assert rl.nn.functional.pad(last(2, 2, 3, 2)[:, :, :2], (1, 1)).stride() == (16, 1, 8, 2)
    assert rl.nn.functional.pad(last(2, 3, 2, 2, 2), (1, 1)).stride() == (48, 1, 24, 12, 3)


@pytest.mark.parametrize("rank", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("needed, name", [(4, "channels_last"), (5, "channels_last_3d")])
def test_formats_need_their_rank(rank, needed, name):
    x, chosen = rl.ones([2] * rank), getattr(rl, name)
    for make in (lambda: rl.empty([2] * rank, memory_format=chosen), lambda: rl.zeros_like(x, memory_format=chosen),
                 lambda: x.clone(memory_format=chosen), lambda: x.contiguous(memory_format=chosen)):
        if rank == needed:
            assert make().stride(1) == 1
        else:
            with pytest.raises(RuntimeError, match=f"required rank {needed}"):
                make()


def test_factorisations_give_columns():
    A, L = rl.eye(3), rl.linalg
    for found in (L.inv(A), L.cholesky(A), L.solve(A, A), L.qr(A)[0], L.qr(A)[1], L.svd(A)[0], L.svd(A)[2],
                  L.eigh(A)[1], L.eig(A)[1], L.lu_factor(A)[0], L.solve_triangular(A, A, upper=True), rl.geqrf(A)[0],
                  L.cholesky(A, upper=True), L.solve_triangular(A, A, upper=True, left=False)):
        assert found.stride() == (1, 3)
    batch = rl.eye(3).expand(2, 3, 3)
    assert L.inv(batch).stride() == L.svd(batch)[2].stride() == (9, 1, 3)
    assert L.svd(batch)[1].stride() == (3, 1)


def test_columns_hold_the_values():
    A = rl.tensor([[4.0, 1.0, 0.5], [1.0, 3.0, 0.25], [0.5, 0.25, 2.0]])
    assert rl.allclose(rl.linalg.inv(A) @ A, rl.eye(3), atol=1e-5)
    root = rl.linalg.cholesky(A)
    assert rl.allclose(root @ root.mT, A, atol=1e-5)
    q, r = rl.linalg.qr(A[:, :2])
    assert rl.allclose(q @ r, A[:, :2], atol=1e-5)


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("which", ["input", "weight", "both"])
def test_convolutions_give_channels_last_for_it(rank, which):
    """Whatever kernel carries them: direct, of single taps, grouped, with few channels or strides."""
    for channels, out, k, stride, groups in ((3, 8, 3, 1, 1), (16, 32, 1, 1, 1), (8, 8, 3, 2, 8), (16, 16, 3, 1, 1)):
        x = rl.randn(2, channels, *[6] * rank, generator=rl.Generator().manual_seed(0))
        w = rl.randn(out, channels // groups, *[k] * rank, generator=rl.Generator().manual_seed(1))
        conv, options = getattr(rl, f"conv{rank}d"), dict(stride=stride, padding=k // 2, groups=groups)
        expected = conv(x, w, **options).relu()
        chosen = rl.channels_last if rank == 2 else rl.channels_last_3d
        x = x.contiguous(memory_format=chosen) if which != "weight" else x
        w = w.contiguous(memory_format=chosen) if which != "input" else w
        if which == "weight" and (k == 1 or w.shape[1] == 1):
            continue  # such weights are in both formats
        found = conv(x, w, **options).relu()
        assert found.is_contiguous(memory_format=chosen) and expected.is_contiguous()
        assert rl.allclose(found, expected, atol=1e-4)
        assert not conv(x.double(), w.double(), **options).is_contiguous(memory_format=chosen)  # as in PyTorch


def test_shuffles_and_unpooling_keep_channels_last():
    x = last(1, 4, 4, 4)
    for found in (rl.pixel_shuffle(x, 2), rl.pixel_unshuffle(x, 2), rl.pixel_shuffle(x, 1), rl.channel_shuffle(x, 2),
                  rl.nn.functional.max_unpool2d(x, rl.zeros(1, 4, 4, 4, dtype=rl.int64), 2),
                  rl.nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")):
        assert found.is_contiguous(memory_format=rl.channels_last)
    assert rl.pixel_shuffle(x.contiguous(), 2).is_contiguous()
