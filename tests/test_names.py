"""Names that programs ask for without computing with them: switches, kinds, streams, CUDA where there is none."""
import inspect

import pytest

import rushlight as torch


def test_what_numbers_a_dtype_has():
    for name in ("bits", "eps", "max", "min", "resolution", "smallest_normal", "tiny", "dtype"):
        assert name in dir(torch.finfo) and getattr(torch.finfo(torch.float16), name) is not None
    assert torch.iinfo(torch.int8).min == -128 and "max" in dir(torch.iinfo)
    assert [d.abbr for d in (torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64)] == \
        ["f32", "bf16", "i64", "b8", "c64"]


def test_cuda_is_absent_as_in_a_build_without_it():
    cuda = torch.cuda
    assert not cuda.memory_stats() and cuda.get_arch_list() == [] and cuda.default_generators == ()
    assert not isinstance(3, cuda.Stream) and issubclass(cuda.Event, torch.Event)
    for make in (cuda.Stream, cuda.Event, cuda.CUDAGraph, cuda.MemPool):
        with pytest.raises(RuntimeError, match="dummy base class"):
            make()
    for call in (cuda.synchronize, cuda.mem_get_info, cuda.current_device, lambda: cuda.set_device(0)):
        with pytest.raises(AssertionError, match="not compiled with CUDA"):
            call()
    with pytest.raises(ModuleNotFoundError):
        cuda.utilization()
    with cuda.stream(None), cuda.device_of(torch.ones(1)), cuda.device(None):
        assert torch.get_device(torch.ones(1)) == -1
    assert issubclass(torch.OutOfMemoryError, RuntimeError) and torch.GradScaler is torch.amp.GradScaler


def test_streams_and_events_of_the_cpu():
    with torch.Stream("cpu") as stream:
        start, end = torch.Event(enable_timing=True), torch.Event(enable_timing=True)
        start.record(stream)
        x = torch.ones(100).sum()
        end.record()
    assert stream.query() and end.query() and start.elapsed_time(end) > 0 and x == 100
    assert stream == torch.Stream() and hash(stream) == hash(torch.Stream())
    with pytest.raises(ValueError, match="enable_timing"):
        torch.Event().elapsed_time(end)


def test_switches_are_remembered():
    torch.set_warn_always(True)
    assert torch.is_warn_always_enabled()
    torch.set_warn_always(False)
    torch.set_anomaly_enabled(True, False)
    assert torch.is_anomaly_enabled() and not torch.is_anomaly_check_nan_enabled()
    torch.set_anomaly_enabled(False)
    assert not torch.is_anomaly_enabled()


def test_removed_functions_say_what_to_call():
    x = torch.eye(2)
    for call in (x.solve, torch.eig, x.symeig, torch.lstsq, torch.matrix_rank):
        with pytest.raises(RuntimeError, match="now removed.*torch.linalg"):
            call(x)


def test_legacy_types_show_the_methods_of_tensors():
    assert "add" in dir(torch.FloatTensor) and torch.FloatTensor.add is torch.Tensor.add
    assert isinstance(torch.ones(1), torch.FloatTensor) and torch.LongTensor([1]).dtype is torch.int64


def test_orders_of_dimensions():
    x = torch.ones(2, 3, 4)
    assert x.dim_order() == (0, 1, 2) and x.permute(2, 0, 1).dim_order() == (1, 2, 0)
    with pytest.raises(RuntimeError, match="unique dim order"):
        x[:, :1].dim_order(ambiguity_check=True)
    with pytest.raises(TypeError):
        del x[0]


@pytest.mark.parametrize("name", ["sum", "mean", "squeeze", "unsqueeze", "unbind", "size", "stride", "amax", "std"])
def test_methods_take_numpys_names(name):
    x = torch.arange(6.0).reshape(2, 3)

    def found(**given):
        value = getattr(x, name)(**given)
        return [v.tolist() for v in value] if isinstance(value, tuple) else value.tolist() if torch.is_tensor(value) \
            else value
    assert found(axis=1) == found(dim=1)
    with pytest.raises(TypeError):
        found(nothing=1)
    if name in ("sum", "mean", "amax", "std"):
        assert found(axis=0, keepdims=True) == found(dim=0, keepdim=True)
        assert "axis" not in inspect.signature(getattr(torch.Tensor, name)).parameters


def test_select_by_any_names():
    x = torch.arange(6.0).reshape(2, 3)
    assert x.select(axis=1, index=0).tolist() == x.select(1, 0).tolist() == [0, 3]
    for wrong in ({"axis": 1}, {"index": 0}, {}):
        with pytest.raises(TypeError):
            x.select(**wrong)


def test_documented_names_are_taken():
    x = torch.tensor([[4.0, 2.0]])
    assert x.div(value=2).tolist() == x.div(other=2).tolist() == [[2, 1]]
    assert torch.tensor_split(x, sections=2, dim=1)[1].item() == 2
    assert x.narrow(dimension=1, start=0, length=1).item() == 4 and x.split(split_size=1)[0].shape == (1, 2)
    assert torch.swapaxes(x, axis0=0, axis1=1).shape == (2, 1)


def test_diagonals_of_matrices_are_those_of_the_last_dimensions():
    x = torch.arange(12.0).reshape(3, 2, 2)
    assert torch.linalg.diagonal(x).tolist() == [[0, 3], [4, 7], [8, 11]]
    assert torch.linalg.diagonal(x, offset=1).tolist() == [[1], [5], [9]]


def test_hash_tensor_ignores_the_order():
    x = torch.arange(6.0).reshape(2, 3)
    assert torch.hash_tensor(x).item() == 4610560118520545280 == torch.hash_tensor(x.flip(0, 1)).item()
    assert torch.hash_tensor(x, 1).tolist() == [9218868437227405312, 4615063718147915776]
    assert torch.hash_tensor(torch.tensor([1, -2, 5], dtype=torch.int8)).item() == 18446744073709551610
    assert torch.hash_tensor(x, 1, keepdim=True).shape == (2, 1)
    with pytest.raises(RuntimeError, match="Unknown hash_tensor mode"):
        torch.hash_tensor(x, mode=1)


def test_raw_operators():
    x, w = torch.randn(1, 2, 5), torch.randn(3, 2, 3)
    assert torch.equal(torch.convolution(x, w, None, [1], [1], [1], False, [0], 1), torch.conv1d(x, w, padding=1))
    assert torch.convolution(x, w[:2], None, [2], [0], [1], True, [0], 1).shape == (1, 2, 11)
    loss = torch.binary_cross_entropy_with_logits(x, torch.ones(1, 2, 5), reduction=2)
    assert torch.allclose(loss, torch.nn.functional.binary_cross_entropy_with_logits(x, torch.ones(1, 2, 5),
                                                                                     reduction="sum"))
    z = torch.randn(3, 2)
    assert torch.equal(torch.view_as_real_copy(torch.view_as_complex_copy(z)), z)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64", "int8", "uint8", "bool", "int64"])
def test_make_tensor(dtype):
    dtype = getattr(torch, dtype)
    x = torch.testing.make_tensor(4, 3, dtype=dtype, noncontiguous=True, exclude_zero=True)
    assert x.shape == (4, 3) and x.dtype is dtype and not x.is_contiguous() and (x != 0).all()
    y = torch.testing.make_tensor((100,), dtype=dtype, low=0, high=1.5)
    if not dtype.is_complex:
        assert y.min() >= 0 and y.max() <= 1.5
    with pytest.raises(ValueError):
        torch.testing.make_tensor(2, dtype=dtype, low=2, high=1)
    if not dtype.is_floating_point and not dtype.is_complex:
        with pytest.raises(ValueError):
            torch.testing.make_tensor(2, dtype=dtype, requires_grad=True)


def test_rearrange():
    x = torch.arange(24).reshape(2, 3, 4)
    rearrange = torch.func.rearrange
    assert torch.equal(rearrange(x, "a b c -> c (a b)"), x.permute(2, 0, 1).reshape(4, 6))
    assert torch.equal(rearrange(x, "a b (c d) -> a d b c", d=2), x.reshape(2, 3, 2, 2).permute(0, 3, 1, 2))
    assert torch.equal(rearrange(x, "... c -> c ..."), x.movedim(-1, 0))
    assert torch.equal(rearrange(x, "a ... -> a (...)"), x.reshape(2, 12))
    assert rearrange(x, "a b c -> a 1 b c").shape == (2, 1, 3, 4)
    assert torch.equal(rearrange([x, x + 1], "n a b c -> a n b c"), torch.stack([x, x + 1], 1))
    for wrong in ("a b -> b a", "a b c -> a b", "a b (c d) -> a b c d", "a b c", "a (b c -> a b c", "a a c -> a c"):
        with pytest.raises(ValueError):
            rearrange(x, wrong)
