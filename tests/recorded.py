"""Values of PyTorch's operators, recorded in a file, so that they are compared without PyTorch.

    python tests/recorded.py --write     # anew, from the operator database of an installed PyTorch 2.13
    python tests/recorded.py --readme    # the README's table of what agrees

A record is a call: the path of a function, its arguments, its results, and for the first float sample the gradients of
a weighted sum of them. `test_recorded.py` makes the calls. Random operators, results that are not unique and arguments
that have no text are left out.
"""
import argparse
import base64
import gzip
import json
import pathlib
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILE = pathlib.Path(__file__).with_name("recorded.json.gz")
MOST = 400  # elements of the tensors of a sample
DTYPES = {"float32": 2, "int64": 1, "complex64": 1}  # and how many samples of each are recorded
TOLERANCES = {"float32": (1e-3, 2e-5), "complex64": (1e-3, 2e-5), "float64": (1e-6, 1e-7), "complex128": (1e-6, 1e-7)}
# Results that are not unique or not written, and kernels without a public name.
LEFT_OUT = frozenset("""
    svd linalg.svd linalg.eig linalg.eigvals linalg.eigh symeig svd_lowrank pca_lowrank geqrf linalg.ldl_factor
    linalg.ldl_factor_ex linalg.householder_product ormqr qr linalg.qr lu_unpack linalg.matrix_power empty empty_like
    empty_permuted empty_strided new_empty new_empty_strided resize_ resize_as_ argsort sort topk msort
    nn.functional.multi_head_attention_forward torch.ops linalg.lstsq pinverse logdet grid_sampler_3d native_group_norm
""".split())
# Namespaces of the table: a title, and the beginning of its operators' names.
GROUPS = (("`nn.functional`", "nn.functional."), ("`linalg`", "linalg."), ("`fft`", "fft."), ("`special`", "special."),
          ("tensors: `torch`, `Tensor`", ""))


# -- texts of values -------------------------------------------------------------------------------------------------


def to_text(value):
    """A value as JSON has it. TypeError for one that has no text."""
    kind = type(value).__name__
    if hasattr(value, "detach"):
        value = value.detach().resolve_conj().resolve_neg()
        name = str(value.dtype).removeprefix("torch.")
        array = np.ascontiguousarray(value.contiguous().numpy())
        return {"tensor": name, "shape": list(value.shape), "data": base64.b64encode(array.tobytes()).decode()}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return {"float": repr(value)}
    if isinstance(value, complex):
        return {"complex": [repr(value.real), repr(value.imag)]}
    if kind in ("dtype", "DType"):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, (list, tuple)):
        return {"tuple" if isinstance(value, tuple) else "list": [to_text(v) for v in value]}
    if isinstance(value, dict):
        return {"dict": {k: to_text(v) for k, v in value.items()}}
    if isinstance(value, slice):
        return {"slice": [to_text(v) for v in (value.start, value.stop, value.step)]}
    if value is Ellipsis:
        return {"ellipsis": 0}
    raise TypeError(f"no text for {kind}")


def from_text(text, library):
    """The value of a text, with the tensors and dtypes of a library."""
    if not isinstance(text, dict):
        return text
    (kind, value), *_ = text.items()
    if kind == "tensor":
        array = np.frombuffer(base64.b64decode(text["data"]), getattr(np, value if value != "bool" else "bool_"))
        return library.from_numpy(array.reshape(text["shape"]).copy())
    if kind == "float":
        return float(value)
    if kind == "complex":
        return complex(*map(float, value))
    if kind == "dtype":
        return getattr(library, value)
    if kind in ("list", "tuple"):
        items = [from_text(v, library) for v in value]
        return items if kind == "list" else tuple(items)
    if kind == "dict":
        return {k: from_text(v, library) for k, v in value.items()}
    return slice(*[from_text(v, library) for v in value]) if kind == "slice" else Ellipsis


def leaves(value):
    """The tensors in a value, in order."""
    if hasattr(value, "detach"):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for v in value for leaf in leaves(v)] if isinstance(value, (list, tuple)) else []


def find(library, path):
    """The function at a path; of a method a function of the tensor and its arguments."""
    thing = library
    for part in path.split("."):
        thing = getattr(thing, part)
    return thing


def function_at(library, name):
    """The function of an operator: of the namespace, or else a method."""
    try:
        return find(library, name)
    except AttributeError:
        return find(library, f"Tensor.{name}")


def weighted_sum(results, library):
    """A real number made of all results, each element with a weight of its own."""
    total = 0
    for r in results:
        weight = (library.arange(r.numel(), dtype=library.float64) * 0.7).sin().reshape(r.shape).to(r.real.dtype)
        total = total + ((r.real + 0.5 * r.imag) * weight if r.is_complex() else r * weight).sum()
    return total


# -- calls -----------------------------------------------------------------------------------------------------------


def called(record, library):
    """(results, gradients or None) of a record's call."""
    args, kwargs = from_text(record["args"], library), from_text(record["kwargs"], library)
    operands = [t for t in leaves([args, kwargs]) if t.is_floating_point() or t.is_complex()]
    wanted = "grads" in record
    if wanted:
        for t in operands:
            t.requires_grad_()
    results = leaves(function_at(library, record["op"])(*args, **kwargs))
    if not wanted:
        return results, None
    weighted_sum([r for r in results if r.requires_grad], library).backward()
    return [r.detach() for r in results], [t.grad for t in operands]


def compare(found, expected, what):
    """AssertionError unless tensors agree with recorded texts."""
    assert len(found) == len(expected), f"{what}: {len(found)} tensors instead of {len(expected)}"
    for number, (tensor, text) in enumerate(zip(found, expected)):
        if text is None:
            assert tensor is None or not tensor.any(), f"{what} {number}: a tensor instead of None"
            continue
        assert tensor is not None, f"{what} {number}: None instead of a tensor"
        array = np.frombuffer(base64.b64decode(text["data"]), getattr(np, text["tensor"].replace("bool", "bool_")))
        array = array.reshape(text["shape"])
        name = str(tensor.dtype).removeprefix("torch.")
        assert (name, list(tensor.shape)) == (text["tensor"], text["shape"]), \
            f"{what} {number}: {name} {list(tensor.shape)} instead of {text['tensor']} {text['shape']}"
        rtol, atol = TOLERANCES.get(name, (0, 0))
        if atol and array.size:
            largest = np.abs(array).max()  # beside which small elements are noise
            atol += 1e-6 * largest if np.isfinite(largest) else 0
        np.testing.assert_allclose(tensor.resolve_conj().resolve_neg().numpy(), array, rtol, atol, err_msg=what)


def read():
    """{operator: its records}."""
    return json.loads(gzip.decompress(FILE.read_bytes()))


# -- recording, which needs PyTorch ----------------------------------------------------------------------------------


def record_all():
    """Records of all operators of PyTorch's database."""
    import torch
    from torch.testing._internal.common_methods_invocations import op_db

    torch.manual_seed(0)
    found = {}
    for op in op_db:
        if op.name in LEFT_OUT or op.name.startswith(("_", "torch.", "sparse.")) and not op.name.startswith("__"):
            continue
        try:
            function = function_at(torch, op.name)
        except AttributeError:
            print(f"{op.name}: no function of that name", file=sys.stderr)
            continue
        for dtype, most in DTYPES.items():
            if getattr(torch, dtype) in op.dtypes:
                for record in records_of(op, function, torch, dtype, most):
                    found.setdefault(op.name, []).append(record)
    return found


def records_of(op, function, torch, dtype, most):
    """Up to `most` records of an operator: of its first sample, and of the largest that is small enough."""
    try:
        samples = list(op.sample_inputs("cpu", getattr(torch, dtype), requires_grad=False))
    except Exception as error:
        print(f"{op.name}, {dtype}: no samples, {type(error).__name__}: {error}"[:200], file=sys.stderr)
        return []
    fitting = []
    for sample in samples:
        args = (sample.input, *sample.args)
        tensors = leaves([list(args), sample.kwargs])
        if sum([t.numel() for t in tensors]) <= MOST and all([t.layout is torch.strided for t in tensors]):
            fitting.append((sum([t.numel() for t in tensors]), args, sample.kwargs))
    chosen = fitting[:1] + sorted(fitting[1:], key=lambda f: -f[0])[:most - 1]
    found = []
    for number, (_, args, kwargs) in enumerate(chosen):
        try:
            record = {"op": op.name, "args": to_text(list(args)), "kwargs": to_text(dict(kwargs))}
            if dtype == "float32" and number == 0 and op.supports_autograd:
                record["grads"] = []
            results, grads = called(record, torch)
            again, _ = called(record, torch)
            same = all([torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(results, again)])
            if not same or not results or not sum([r.numel() for r in results]):
                continue  # random, or nothing to compare
            record["results"] = [to_text(r) for r in results]
            if grads is not None:
                record["grads"] = [None if g is None else to_text(g) for g in grads]
            found.append(record)
        except Exception as error:
            print(f"{op.name}, {dtype}: no record, {type(error).__name__}: {error}"[:200], file=sys.stderr)
    return found


# -- the README's table ----------------------------------------------------------------------------------------------


def table():
    """Rows of the README: namespaces, and how many of their recorded operators agree."""
    sys.path.insert(0, str(ROOT))
    import rushlight

    lines = ["| namespace | operators recorded | results agree | gradients agree |", "|---|---|---|---|"]
    rows = {title: [0, 0, 0, 0] for title, _ in GROUPS}
    for name, records in sorted(read().items()):
        title = next(title for title, start in GROUPS if name.startswith(start))
        values, grads, asked = True, True, False
        for record in records:
            try:
                results, found = called(record, rushlight)
                compare(results, record["results"], name)
            except Exception as error:
                print(f"{name}: {type(error).__name__}: {error}"[:200], file=sys.stderr)
                values = grads = False
                continue
            if found is not None:
                asked = True
                try:
                    compare(found, record["grads"], name)
                except AssertionError:
                    grads = False
        row = rows[title]
        row[0] += 1
        row[1] += values
        row[2] += asked
        row[3] += asked and grads
    for title, (count, values, asked, grads) in rows.items():
        lines.append(f"| {title} | {count} | {values} | {grads} of {asked} |")
    return lines


def write_readme():
    """Put the table between its marks in the README."""
    path = ROOT / "README.md"
    before, start, rest = path.read_text(encoding="utf-8").partition("<!-- recorded -->\n")
    _, end, after = rest.partition("<!-- end of recorded -->\n")
    path.write_text(before + start + "\n".join(table()) + "\n" + end + after, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--readme", action="store_true")
    options = parser.parse_args()
    if options.write:
        found = record_all()
        FILE.write_bytes(gzip.compress(json.dumps(found, separators=(",", ":")).encode(), 9, mtime=0))
        print(f"{sum(map(len, found.values()))} records of {len(found)} operators, {FILE.stat().st_size} bytes")
    if options.readme:
        write_readme()
