"""The operators of docs/add-an-operator.md, one of each kind: the page is run, and each operator checked."""
import re

import numpy as np
import pytest
import source
from programs import run

import rushlight as rl
from rushlight.core import declare, kinds

PAGE = source.ROOT / "docs" / "add-an-operator.md"
TABLES = (declare.REGISTRY, kinds.OPERATORS, kinds.OUTSIDE, kinds.COMPOSITES)


@pytest.fixture(scope="module")
def page():
    """The names that the programs of the page define. What they declare is taken back afterwards."""
    before = [dict(table) for table in TABLES]
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names = {"__name__": "made_up"}
    exec(compile("\n".join(blocks), str(PAGE), "exec"), names)
    yield names
    for table, kept in zip(TABLES, before):
        table.clear()
        table.update(kept)


def rounded(*shape):
    """Some floats that are not in order, of float64 for gradcheck."""
    return rl.tensor(np.sin(np.arange(1.0, 1 + np.prod(shape))).reshape(shape) * 3, requires_grad=True)


def test_the_page_has_an_operator_of_every_kind(page):
    declared = {type(op) for op in kinds.OPERATORS.values() if op.name in kinds.OUTSIDE}
    assert declared == {kinds.Elementwise, kinds.Reduction, kinds.Gather, kinds.Scatter, kinds.Scan, kinds.Kernel,
                        kinds.Host, kinds.Macro}
    assert type(page["GRAM"]) is kinds.Template  # whose code is the package's
    assert type(kinds.COMPOSITES["antidiagonal"]) is kinds.View and type(kinds.COMPOSITES["spread"]) is kinds.Composite


def test_elementwise(page):
    squareplus, x = page["squareplus"], rounded(3, 4)
    values = x.detach().numpy()
    np.testing.assert_allclose(squareplus(x, 2.0).detach().numpy(), (values + np.sqrt(values**2 + 2)) / 2, rtol=1e-12)
    assert rl.autograd.gradcheck(squareplus, (x,))
    out = rl.empty(0)
    assert squareplus(rl.tensor([0]), out=out) is out and out.tolist() == [1.0]
    y = rl.zeros(2)
    assert squareplus.inplace(y) is y and y.tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="can't be cast"):
        squareplus.inplace(rl.zeros(2, dtype=rl.int64))


@pytest.mark.parametrize("shape, dim", [((3, 40), 1), ((3, 40), 0), ((2, 3, 5), 1), ((70_000, 2), 0), ((0, 3), 0)])
def test_reduction(page, shape, dim):
    peak, x = page["peak"], rounded(*shape)
    wanted = np.abs(x.detach().numpy()).max(dim, initial=0)
    for tensor in (x, x.float(), x.detach().t().contiguous().t() if len(shape) == 2 else x):
        np.testing.assert_allclose(peak(tensor, dim).detach().numpy(), wanted, rtol=1e-6)
    if 0 < x.numel() < 1000:
        assert rl.autograd.gradcheck(lambda x: peak(x, dim), (x,))
    with pytest.raises(IndexError, match="Dimension out of range"):
        peak(x, 5)


def test_out_of_a_function_by_hand(page):
    out = rl.empty(0)
    assert page["peak"](rl.tensor([[1.0, -3.0]]), 1, out=out) is out and out.tolist() == [3.0]


def test_scan(page):
    fade, x = page["fade"], rounded(3, 5)
    wanted = np.zeros((3, 5))
    for i in range(5):
        wanted[:, i] = wanted[:, i - 1] * 0.5 + x.detach().numpy()[:, i]
    np.testing.assert_allclose(fade(x, 1).detach().numpy(), wanted, rtol=1e-12)
    np.testing.assert_allclose(fade(x.t(), 0).detach().numpy(), wanted.T, rtol=1e-12)
    assert rl.autograd.gradcheck(lambda x: fade(x, 1), (x,))
    with pytest.raises(IndexError, match="Dimension out of range"):
        fade(x, 2)


def test_gather(page):
    rows, table = page["rows"], rl.arange(6.0).reshape(3, 2).requires_grad_()
    result = rows(table, rl.tensor([2, 0, 2]))
    assert result.tolist() == [[4, 5], [0, 1], [4, 5]]
    result.sum().backward()
    assert table.grad.tolist() == [[1, 1], [0, 0], [2, 2]]
    with pytest.raises(IndexError, match=r"there is no row 3 \[in rows, recorded at .*add-an-operator.md:"):
        rows(table, rl.tensor([1, 3])).tolist()


def test_scatter(page):
    toggle_, x = page["toggle_"], rl.tensor([1, 2, 3])
    assert toggle_(x, rl.tensor([0, 2, 0, 0]), rl.tensor([6, 1, 1, 1])) is x and x.tolist() == [7, 2, 2]
    with pytest.raises(IndexError, match="index out of range in self"):
        toggle_(x, rl.tensor([5]), rl.tensor([1])).tolist()


def test_template(page):
    gram, x = page["gram"], rounded(5, 3)
    np.testing.assert_allclose(gram(x).detach().numpy(), x.detach().numpy().T @ x.detach().numpy(), rtol=1e-12)
    assert rl.autograd.gradcheck(gram, (x,))
    assert gram(rl.ones(0, 3)).tolist() == [[0] * 3] * 3
    with pytest.raises(IndexError):
        gram(rl.ones(3))


@pytest.mark.parametrize("dtype", [rl.float32, rl.float64])
def test_kernel(page, dtype):
    runs, x = page["runs"], rl.tensor([[0, 0, 1, 1, 1, 2], [5, 5, 5, 5, 4, 4]], dtype=dtype)
    assert runs(x).tolist() == [[1, 2, 1, 2, 3, 1], [1, 2, 3, 4, 1, 2]]
    assert runs(x.t()).tolist() == [[1, 1], [1, 1], [1, 1], [1, 1], [1, 1], [1, 1]]  # copied: it reads rows
    with pytest.raises(ValueError, match=r"runs: NaN is equal to nothing \[in runs, recorded at"):
        runs(x / x).tolist()


def test_host(page):
    unwrap, x = page["unwrap"], rounded(3, 8)
    np.testing.assert_allclose(unwrap(x, 0).detach().numpy(), np.unwrap(x.detach().numpy(), axis=0), rtol=1e-12)
    assert rl.autograd.gradcheck(unwrap, (x,))
    with pytest.raises(ValueError, match="phases must be finite"):
        unwrap(rl.tensor([float("inf")])).tolist()


def test_view(page):
    antidiagonal, x = page["antidiagonal"], rl.arange(9.0).reshape(3, 3)
    seen = antidiagonal(x)
    assert seen.tolist() == [2, 4, 6] and seen.data_ptr() == x.data_ptr() + 8
    seen.fill_(-1)
    assert x.tolist() == [[0, 1, -1], [3, -1, 5], [-1, 7, 8]]
    assert rl.autograd.gradcheck(antidiagonal, (rounded(4, 4),))
    y = rounded(2, 2)
    z = y * 1
    antidiagonal(z).mul_(3)
    z.sum().backward()
    assert y.grad.tolist() == [[1, 3], [3, 1]]
    with pytest.raises(RuntimeError, match="expected a square matrix, got 2 x 3"):
        antidiagonal(rl.ones(2, 3))


def test_composite_and_macro(page):
    spread, soft_clip, x = page["spread"], page["soft_clip"], rounded(7)
    assert spread(rl.tensor([1.0, 5.0, 3.0])).item() == 4 and rl.autograd.gradcheck(spread, (x,))
    out = rl.empty(())
    assert spread(x.detach().float(), out=out) is out and out.item() > 5
    with pytest.raises(RuntimeError, match="expected at least one element"):
        spread(rl.ones(0))
    np.testing.assert_allclose(soft_clip(x.detach()).numpy(), np.tanh(x.detach().numpy() / 2) * 2, rtol=1e-12)
    assert rl.autograd.gradcheck(soft_clip, (x,))


def test_code_on_disk_is_that_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("RUSHLIGHT_CACHE", str(tmp_path / "cache"))
    script, found = tmp_path / "program.py", []
    for body in ("input + 1", "input + 2 * 1"):
        script.write_text("import rushlight as rl\nfrom rushlight.core.declare import elementwise\n"
                          f"def made_up(k, input):\n    return {body}\n"
                          "print(elementwise('')(made_up)(rl.ones(2)).tolist())\n")
        found.append(run(script, cwd=tmp_path)[0].strip())
    assert found == ["[2.0, 2.0]", "[3.0, 3.0]"]
