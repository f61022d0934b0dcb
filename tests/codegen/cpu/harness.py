"""Run planned launches on numpy arrays without the engine: compile with llvmlite, one serial loop over the tasks."""

import ctypes
import functools

import llvmlite.binding as llvm
import numpy as np

from rushlight.codegen.ir import builder, target
from rushlight.codegen.ir.kernel import Argument, Memory, Scratch

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
TARGETS = {
    "avx2": target.Target(32, 16, 32768, 524288, 1 << 24),
    "avx512": target.Target(64, 32, 49152, 1 << 21, 1 << 25),
    "neon": target.Target(16, 32, 65536, 524288, 1 << 23),
}
ENGINES, KERNELS = [], {}
CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


@functools.cache
def tiles():
    """Whether this process may use AMX tile registers (Linux grants them on request)."""
    if not llvm.get_host_cpu_features().get("amx-bf16"):
        return False
    return ctypes.CDLL(None).syscall(158, 0x1023, 18) == 0


def machine():
    features = llvm.get_host_cpu_features().flatten()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=1
    )


def compile_source(source):
    """The address of a kernel; compiled once a key."""
    if source.key not in KERNELS:
        module = builder.Module()
        source.emit(module, "kernel")
        parsed = llvm.parse_assembly(module.text())
        parsed.verify()
        passes = llvm.create_new_module_pass_manager()
        passes.add_sroa_pass()
        passes.add_instruction_combine_pass()
        passes.add_simplify_cfg_pass()
        tm = machine()
        passes.run(parsed, llvm.create_pass_builder(tm, llvm.create_pipeline_tuning_options()))
        engine = llvm.create_mcjit_compiler(parsed, tm)
        engine.finalize_object()
        ENGINES.append(engine)
        KERNELS[source.key] = engine.get_function_address("kernel")
    return KERNELS[source.key]


class Program:
    """Launches bound to arrays (`slots`: slot -> array) and scalars (`scalars`: index -> float)."""

    def __init__(self, launches, slots, scalars=None):
        self.table, self.places, self.keep = [0], {}, []
        self.slots, self.scalars = slots, scalars or {}
        self.steps = [self._bind(launch) for launch in launches]
        self.array = np.array(self.table, dtype=np.int64)

    def _place(self, slot):
        if slot not in self.places:
            if isinstance(slot, Scratch):
                raw = np.full(slot.nbytes + 64, 0xFF, np.uint8)
                array = raw[-raw.ctypes.data % 64 :][: slot.nbytes]
            else:
                array = self.slots[slot]
            self.keep.append(array)
            self.places[slot] = len(self.table)
            self.table.append(array.ctypes.data)
        return self.places[slot]

    def _bind(self, launch):
        entries = []
        for item in launch.static:
            if isinstance(item, Memory):
                entries += [self._place(item.slot), item.offset]
            elif isinstance(item, Argument):
                self.table.append(int(np.float64(self.scalars[item.index]).view(np.int64)))
                entries.append(len(self.table) - 1)
            else:
                entries.append(int(item))
        static = np.array(entries, dtype=np.int64)
        return CALL(compile_source(launch.source)), static, launch.tasks

    def run(self):
        for call, static, tasks in self.steps:
            for task in reversed(range(tasks)):
                call(self.array.ctypes.data, static.ctypes.data, task)
        assert self.array[0] == 0
