"""Libraries around tensors: quasirandom, benchmark, profiler, library, jit, export, masked, nested, __future__."""
import gzip
import io
import json
import math

import pytest

import rushlight as torch
from rushlight import jit, masked, nested, profiler
from rushlight.utils import benchmark

nn = torch.nn


# -- quasirandom -----------------------------------------------------------------------------------------------------


def test_sobol_points_are_those_of_joe_and_kuo():
    engine = torch.quasirandom.SobolEngine(3)
    expected = [[0, 0, 0], [0.5, 0.5, 0.5], [0.75, 0.25, 0.25], [0.25, 0.75, 0.75], [0.375, 0.375, 0.625]]
    assert engine.draw(5).tolist() == expected
    assert engine.reset().draw(1).tolist() == expected[:1] and engine.draw(4).tolist() == expected[1:]
    assert engine.reset().fast_forward(3).draw(2).tolist() == expected[3:]
    many = torch.quasirandom.SobolEngine(1111).draw(64)
    for column in many.T.sort(1).values:  # every dimension has a point in each 64th of the line
        assert torch.equal((column * 64).floor(), torch.arange(64.0))


def test_sobol_scrambling_keeps_the_balance_and_the_seed():
    a, b = [torch.quasirandom.SobolEngine(4, scramble=True, seed=7) for _ in range(2)]
    first = a.draw(64)
    assert torch.equal(first, b.draw(64)) and first.min() >= 0 and first.max() < 1
    for column in first.T.sort(1).values:
        assert torch.equal((column * 64).floor(), torch.arange(64.0))
    assert a.draw(2, dtype=torch.float64).dtype is torch.float64
    assert repr(a) == "SobolEngine(dimension=4, scramble=True, seed=7)"
    with pytest.raises(ValueError, match="power of 2"):
        a.draw_base2(3)
    with pytest.raises(ValueError):
        torch.quasirandom.SobolEngine(0)
    with pytest.raises(NotImplementedError, match="1111"):
        torch.quasirandom.SobolEngine(2000)


# -- benchmark and profiler ------------------------------------------------------------------------------------------


def test_timers_measure_the_work():
    timer = benchmark.Timer("x @ x", globals={"x": torch.ones(64, 64)}, label="mm", sub_label="[64]", description="a")
    once, many = timer.timeit(5), timer.blocked_autorange(min_run_time=0.005)
    assert once.number_per_run == 5 and len(once.times) == 1 and once.median == once.times[0] > 0
    assert sum(many.raw_times) >= 0.005 and many.iqr >= 0 and many.title == "mm: [64]"
    assert "measurement" in repr(many) and timer.adaptive_autorange(max_run_time=0.01).mean > 0
    table = benchmark.Compare([once, benchmark.Timer("x + x", globals={"x": torch.ones(2)}, label="mm",
                                                     sub_label="[2]", description="b").timeit(3)])
    table.trim_significant_figures()
    table.colorize()
    text = str(table)
    assert "[ mm ]" in text and "[64]" in text and "1 threads" in text and "*" in text
    assert benchmark.trim_sigfig(1234.5, 2) == 1200 and benchmark.select_unit(2e-5)[0] == "us"


def test_profiles_time_operators_and_ranges(tmp_path):
    x = torch.randn(8, 8, requires_grad=True)
    with profiler.profile(record_shapes=True) as found:
        with profiler.record_function("mine"):
            y = (x @ x).relu()
        y.sum().backward()
    names = [e.name for e in found.events()]
    assert names == ["mine", "aten::matmul", "aten::relu", "aten::sum", "aten::backward"]
    mine, product = found.events()[:2]
    assert product.cpu_parent is mine and product.input_shapes == [[8, 8], [8, 8]]
    assert 0 < mine.self_cpu_time_total < mine.cpu_time_total
    averages = found.key_averages()
    assert math.isclose(averages.self_cpu_time_total, sum(e.self_cpu_time_total for e in found.events()))
    text = averages.table(sort_by="cpu_time_total", row_limit=2)
    rows = [line for line in text.splitlines() if "aten::" in line or "mine" in line]
    assert "Self CPU %" in text and len(rows) == 2 and "Self CPU time total" in text
    with pytest.raises(AttributeError):
        averages.table(sort_by="nothing")
    for name, opened in (("t.json", open), ("t.json.gz", gzip.open)):
        found.export_chrome_trace(tmp_path / name)
        with opened(tmp_path / name, "rt") as file:
            assert [e["name"] for e in json.load(file)["traceEvents"]] == names
    assert x.grad is not None


def test_profiles_follow_a_schedule(tmp_path):
    plan = profiler.schedule(wait=1, warmup=1, active=2, repeat=1, skip_first=1)
    assert [plan(i).name for i in range(7)] == ["NONE", "NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE", "NONE", "NONE"]
    seen = []
    with profiler.profile(schedule=plan, on_trace_ready=lambda p: seen.append([e.name for e in p.events()])) as found:
        for _ in range(6):
            torch.ones(2) + 1
            found.step()
    assert len(seen) == 1 and [n for n in seen[0] if "Step" in n] == ["ProfilerStep#3", "ProfilerStep#4"]
    with profiler.profile(on_trace_ready=profiler.tensorboard_trace_handler(str(tmp_path), "me")):
        torch.ones(1)
    assert [p.name.split(".")[0] for p in tmp_path.iterdir()] == ["me"]


# -- library ---------------------------------------------------------------------------------------------------------


def test_custom_operators():
    @torch.library.custom_op("tests::twice", mutates_args=())
    def twice(x: torch.Tensor, scale: float = 2.0) -> torch.Tensor:
        return torch.from_numpy(x.detach().numpy() * scale)

    x = torch.ones(3, requires_grad=True)
    assert twice._schema == "(Tensor x, float scale=2.0) -> Tensor"
    assert torch.ops.tests.twice(torch.ones(2)).tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="no autograd formula"):
        twice(x).sum().backward()

    def setup(ctx, inputs, output):
        ctx.scale = inputs[1]
    twice.register_autograd(lambda ctx, g: (g * ctx.scale, None), setup_context=setup)
    y = twice(x, 3.0)
    y.sum().backward()
    assert x.grad.tolist() == [3, 3, 3] and type(y.grad_fn).__name__.startswith("GeneratedBackwardFor_tests_twice")
    torch.library.register_fake("tests::twice", lambda x, scale=2.0: torch.empty_like(x))
    assert twice(torch.ones(2, device="meta")).shape == (2,)
    assert set(torch.library.opcheck(twice, (torch.ones(2),)).values()) == {"SUCCESS"}
    twice.register_fake(lambda x, scale=2.0: x.new_empty(7))
    with pytest.raises(AssertionError, match="fake result"):
        torch.library.opcheck(twice, (torch.ones(2),))
    with pytest.raises(AttributeError):
        torch.ops.tests.nothing  # noqa: B018
    with pytest.raises(ValueError, match="namespace"):
        torch.library.custom_op("twice", twice, mutates_args=())


def test_libraries_of_schemas():
    lib = torch.library.Library("tests2", "DEF")
    assert lib.define("add_n(Tensor x, int n=1) -> Tensor") == "add_n"
    with pytest.raises(NotImplementedError, match="no implementation"):
        torch.ops.tests2.add_n(torch.ones(1))
    lib.impl("add_n", lambda x, n=1: x + n, "CPU")
    assert torch.ops.tests2.add_n(torch.ones(1), 3).item() == 4
    torch.library.define("tests2::neg", "(Tensor x) -> Tensor")
    torch.library.impl("tests2::neg", "default", lambda x: -x)
    assert torch.ops.tests2.neg.default(torch.ones(1)).item() == -1

    def typed(x: torch.Tensor, n: int, o: torch.Tensor | None, *, flags: list[bool], s: str = "a") -> tuple[int, float]:
        """Of many types."""
    assert torch.library.infer_schema(typed, mutates_args=("x",)) == \
        '(Tensor(a0!) x, SymInt n, Tensor? o, *, bool[] flags, str s="a") -> (SymInt, float)'


# -- jit and export --------------------------------------------------------------------------------------------------


class Depends(nn.Module):
    """A path that depends on data."""

    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_scripted_modules_share_their_state_and_are_saved():
    model, x = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Dropout()), torch.randn(4, 2)
    scripted = jit.script(model)
    assert isinstance(scripted, jit.ScriptModule) and isinstance(scripted, nn.Sequential)
    assert list(scripted.state_dict()) == list(model.state_dict()) and scripted.original_name == "Sequential"
    assert "RecursiveScriptModule" in repr(scripted) and "def forward" in scripted.code
    model.eval()
    scripted.eval()
    with torch.no_grad():
        scripted[0].weight.add_(1)
    assert torch.equal(scripted(x), model(x)) and scripted[0].weight is model[0].weight
    file = io.BytesIO()
    jit.save(scripted, file, _extra_files={"note": "text"})
    file.seek(0)
    files = {"note": ""}
    loaded = jit.load(file, _extra_files=files)
    assert torch.equal(loaded(x), model(x)) and not loaded.training and files == {"note": "text"}
    assert loaded.original_name == "Sequential" and jit.freeze(loaded) is loaded
    with pytest.raises(RuntimeError, match="eval mode"):
        jit.freeze(jit.script(nn.Linear(1, 1)))


def test_scripted_functions_and_traces():
    @jit.script
    def scaled(x, n: int = 2):
        return x * n + 1
    file = io.BytesIO()
    scaled.save(file)
    file.seek(0)
    assert jit.load(file)(torch.ones(1)).item() == scaled(torch.ones(1)).item() == 3 and scaled.name == "scaled"
    traced = jit.trace(nn.Linear(2, 1), torch.ones(1, 2))
    assert isinstance(traced, jit.TracedModule) and traced(torch.ones(1, 2)).shape == (1, 1)
    assert jit.script(Depends())(torch.ones(1)).item() == 1
    with pytest.raises(NotImplementedError, match="graph"):
        jit.save(jit.script(Depends()), io.BytesIO())
    with pytest.raises(ValueError):
        jit.save(nn.Linear(1, 1), io.BytesIO())
    assert jit.isinstance([1], list[int]) and not jit.isinstance(["a"], list[int]) and not jit.is_scripting()
    assert jit.wait(jit.fork(lambda a: a + 1, 1)) == 2
    with pytest.raises(NotImplementedError, match="CompilationUnit"):
        jit.CompilationUnit("")


def test_exported_programs():
    model, x = nn.Sequential(nn.Linear(2, 3), nn.Tanh()), torch.randn(4, 2)
    program = torch.export.export(model, (x,), dynamic_shapes={"input": {0: torch.export.Dim("batch")}})
    assert torch.equal(program.module()(x), model(x)) and len(list(program.parameters())) == 2
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    assert torch.equal(torch.export.load(file).module()(x[:2]), model(x[:2]))
    with pytest.raises(RuntimeError, match="directly"):
        program(x)
    with pytest.raises(NotImplementedError, match="graph"):
        torch.export.export(Depends(), (x,))
    with pytest.raises(TypeError):
        torch.export.export(model, x)


# -- masked and nested -----------------------------------------------------------------------------------------------

X = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
MASK = torch.tensor([[True, False, True], [False, False, True]])


@pytest.mark.parametrize("name, expected", [
    ("sum", [4, 6]), ("prod", [3, 6]), ("mean", [2, 6]), ("amax", [3, 6]), ("amin", [1, 6]), ("argmax", [2, 2]),
    ("argmin", [0, 2]), ("median", [1, 6]), ("var", [2, math.nan]), ("std", [math.sqrt(2), math.nan]),
    ("logsumexp", [math.log(math.e + math.exp(3)), 6]),
])  # fmt: skip
def test_masked_reductions(name, expected):
    found = getattr(masked, name)(X, 1, mask=MASK)
    assert torch.allclose(found.float(), torch.tensor(expected, dtype=torch.float32), equal_nan=True)
    whole = getattr(masked, name)(X, 1)
    again = getattr(masked, name)(X, 1, mask=torch.ones_like(MASK))
    assert torch.allclose(whole.float(), again.float())


def test_masked_functions_of_the_same_shape():
    assert torch.allclose(masked.softmax(X, 1, mask=MASK)[0, [0, 2]], torch.softmax(torch.tensor([1.0, 3.0]), 0))
    assert masked.cumsum(X, 1, mask=MASK).tolist() == [[1, 1, 4], [0, 0, 6]]
    assert torch.allclose(masked.normalize(X, 2.0, 1, mask=MASK)[0], torch.tensor([1, 0, 3]) / math.sqrt(10))
    assert masked.norm(X, 2.0, 1, mask=MASK)[1] == 6
    assert torch.allclose(masked.softmin(X, 1, mask=MASK), masked.softmax(-X, 1, mask=MASK))


def test_tensors_with_masks():
    t = masked.masked_tensor(X, MASK, requires_grad=True)
    doubled = t * 2 + t
    assert masked.is_masked_tensor(doubled) and doubled.to_tensor(0).tolist() == [[3, 0, 9], [0, 0, 18]]
    total = doubled.sum()
    assert total.get_data().item() == 30
    total.backward()
    assert t.grad.to_tensor(0).tolist() == [[3, 0, 3], [0, 0, 3]]
    assert "--" in repr(t) and t.transpose(0, 1).get_mask().tolist() == MASK.T.tolist()
    with pytest.raises(ValueError, match="masks must match"):
        t + masked.as_masked_tensor(X, ~MASK)
    with pytest.raises(ValueError, match="same shape"):
        masked.as_masked_tensor(X, MASK[:1])
    with pytest.raises(TypeError, match="bool"):
        masked.as_masked_tensor(X, X)


def test_nested_tensors():
    parts = [torch.ones(2, 3, requires_grad=True), torch.ones(4, 3, requires_grad=True)]
    n = nested.as_nested_tensor(parts)
    assert n.is_nested and n.dim() == 3 and n.size(0) == 2 and n.size(-1) == 3 and n.numel() == 18
    padded = (n * 2).relu().to_padded_tensor(-1.0)
    assert padded.shape == (2, 4, 3) and padded[0, 2:].eq(-1).all() and padded[1].eq(2).all()
    padded.sum().backward()
    assert parts[0].grad.tolist() == [[2] * 3] * 2
    assert nn.Linear(3, 5)(n).size(2) == 5 and nn.functional.softmax(n, -1)[0].sum() == 2
    assert [t.shape for t in n.matmul(n.transpose(1, 2)).unbind()] == [(2, 2), (4, 4)]
    assert nested.to_padded_tensor(n, 0.0, (2, 5, 3)).shape == (2, 5, 3) and "nested_tensor([" in str(n)
    for wrong in (lambda: n.size(1), lambda: n.shape, lambda: len(n), lambda: n + nested.nested_tensor([parts[0]])):
        with pytest.raises(RuntimeError):
            wrong()
    with pytest.raises(NotImplementedError, match="cat"):
        torch.cat([n, n])
    pieces = nested.nested_tensor_from_jagged(torch.arange(5.0), torch.tensor([0, 2, 5]))
    assert [t.tolist() for t in pieces.unbind()] == [[0, 1], [2, 3, 4]]
    assert [t.tolist() for t in nested.narrow(X, 1, 0, torch.tensor([1, 2])).unbind()] == [[1], [4, 5]]


# -- conversions of modules ------------------------------------------------------------------------------------------


def test_conversions_overwrite_or_swap_parameters():
    future = torch.__future__
    layer = nn.Linear(2, 2)
    weight = layer.weight
    layer.double()
    assert layer.weight is weight and weight.dtype is torch.float64
    future.set_overwrite_module_params_on_conversion(True)
    try:
        layer.float()
        assert layer.weight is not weight and weight.dtype is torch.float64 and isinstance(layer.weight, nn.Parameter)
    finally:
        future.set_overwrite_module_params_on_conversion(False)
    weight = layer.weight
    future.set_swap_module_params_on_conversion(True)
    try:
        layer.half()
        assert layer.weight is weight and weight.dtype is torch.float16 and weight.requires_grad
    finally:
        future.set_swap_module_params_on_conversion(False)
    a, b = torch.ones(2), torch.zeros(3)
    torch.utils.swap_tensors(a, b)
    assert a.tolist() == [0, 0, 0] and b.tolist() == [1, 1]


def test_small_modules():
    assert "LLVM" in torch.__config__.show() and "get_num_threads" in torch.__config__.parallel_info()
    assert not torch.accelerator.is_available() and torch.accelerator.current_accelerator() is None
    with pytest.raises(RuntimeError, match="accelerator"):
        torch.accelerator.current_device_index()
    assert not (torch.mps.is_available() or torch.xpu.is_available() or torch.mtia.is_available())
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.utils.deterministic.fill_uninitialized_memory is False
    finally:
        torch.use_deterministic_algorithms(False)
        torch.utils.deterministic.fill_uninitialized_memory = True
    x = torch.ones(1, requires_grad=True)
    x.register_hook(lambda g: g)
    with pytest.warns(UserWarning, match="will not be serialized"):
        torch.utils.hooks.warn_if_has_hooks(x)
    assert torch.storage.UntypedStorage is torch.UntypedStorage and torch.types.Tensor is torch.Tensor
