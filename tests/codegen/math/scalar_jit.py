"""Compile one mathematical function into a vector loop with llvmlite alone and run it on numpy arrays."""

import ctypes

import llvmlite.binding as llvm
import numpy as np

from rushlight.codegen.ir.builder import Module
from rushlight.codegen.math.scalar import FUNCTIONS

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
KEEP = []


def source(name, kind, width, operands, results=1, store=True):
    """The module that applies FUNCTIONS[name] to whole arrays, `width` lanes at a time."""
    module = Module()
    labels = [f"out{i}" for i in range(results)] + [f"in{i}" for i in range(operands)]
    fn = module.function("kernel", [("ptr noalias", label) for label in labels] + [("i64", "count")])
    pointers, count = fn.args[:-1], fn.args[-1]
    with fn.loop(0, count, width) as index:
        values = [fn.load_vector(p, index, kind, width) for p in pointers[results:]]
        found = FUNCTIONS[name](fn, *values)
        for pointer, value in zip(pointers, (found if results > 1 else [found]) if store else []):
            fn.store_vector(value, pointer, index)
    fn.ret()
    return module.text()


def compile_text(text, level=2):
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=level
    )
    parsed = llvm.parse_assembly(text)
    parsed.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(parsed, builder)
    engine = llvm.create_mcjit_compiler(parsed, machine)
    engine.finalize_object()
    KEEP.append(engine)
    return engine, parsed


def build(name, dtype, width=8, operands=1, results=1):
    """A Python function of numpy arrays that runs the compiled kernel."""
    kind = {"float32": "float", "float64": "double"}[np.dtype(dtype).name]
    engine, _ = compile_text(source(name, kind, width, operands, results))
    signature = [ctypes.c_void_p] * (operands + results) + [ctypes.c_int64]
    entry = ctypes.CFUNCTYPE(None, *signature)(engine.get_function_address("kernel"))

    def run(*arrays):
        arrays = np.broadcast_arrays(*arrays)
        size = arrays[0].size
        padded = -(-size // width) * width
        inputs = []
        for array in arrays:
            buffer = np.ones(padded, dtype)
            buffer[:size] = array.ravel()
            inputs.append(buffer)
        outputs = [np.empty(padded, dtype) for _ in range(results)]
        entry(*(a.ctypes.data for a in outputs + inputs), padded)
        shaped = [a[:size].reshape(arrays[0].shape) for a in outputs]
        return shaped if results > 1 else shaped[0]

    return run


def ulps(found, expected):
    """Distance in units in the last place of `found`'s type; non-finite values must agree."""
    dtype = found.dtype
    with np.errstate(all="ignore"):
        rounded = expected.astype(dtype)
        info = np.finfo(dtype)
        magnitude = np.clip(np.abs(rounded.astype(expected.dtype)), float(info.tiny), float(info.max))
        unit = np.ldexp(np.ones_like(expected), np.frexp(magnitude)[1] - info.nmant - 1)
        distance = np.abs(found.astype(expected.dtype) - expected) / unit
    special = ~np.isfinite(rounded) | ~np.isfinite(found)
    same = (rounded == found) | (np.isnan(rounded) & np.isnan(found))
    return np.where(special, np.where(same, 0.0, np.inf), distance).astype(np.float64)
