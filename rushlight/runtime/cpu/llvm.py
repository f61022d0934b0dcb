"""From texts of IR to object code: the parts of LLVM that run, on several threads.

`compile_texts` gives every text a module, a context and a target machine of its own, so that threads share nothing.
jit.py is the only user.

Note [Three passes]
Code generators write explicit vectors and hoist loop invariants themselves, so `sroa`, `instcombine` and
`simplifycfg` give code as fast as O3 does at a third of its cost. llvmlite's manual pass managers offer neither
early-cse nor licm.

Note [llvmlite's lock]
llvmlite holds one lock around every call into LLVM. Three quarters of a compilation are one call, the emission of
machine code, which needs no protection where contexts are not shared: it goes past the lock (`_cfn`, with the lock
where llvmlite does not have that name any more).
"""

import ctypes
import functools
import sys
import threading

from ...base import switches
from . import cpuinfo, memory

ROOM = 64 << 20  # bytes that are free for each thread before it compiles: LLVM ends the process where it gets no memory

count_threads = cpuinfo.available_cpus  # pool.py puts its own count here


@functools.cache
def library():
    """llvmlite.binding, ready for this machine."""
    llvm = cpuinfo.llvm_binding()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    return llvm


def target_machine(hurry=False):
    """A target machine for this processor."""
    triple, name, features, _ = cpuinfo.llvm_host()
    target, level = library().Target.from_triple(triple), 0 if hurry else 3
    return target.create_target_machine(cpu=name, features=features, opt=level, reloc="pic", codemodel="small")


class Compiler:
    """The context and the target machine of one thread. `hurry`: code that is not optimised, see hurry.py."""

    def __init__(self, hurry=False):
        self.hurry = hurry
        self.context, self.machine = library().create_context(), target_machine(hurry)
        triple = cpuinfo.llvm_host()[0]
        self.header = f'target datalayout = "{self.machine.target_data}"\ntarget triple = "{triple}"\n'

    def optimised(self, text):
        """The module of a text of IR, after the passes. RuntimeError where LLVM rejects it."""
        llvm, text = library(), self.header + text
        if "ir" in switches.LOG:
            sys.stderr.write(text)
        try:
            module = llvm.parse_assembly(text, self.context)
            module.verify()
        except RuntimeError as error:
            shown = text if "ir" in switches.LOG else "set RUSHLIGHT_LOG=ir to see the text"
            raise RuntimeError(f"LLVM rejects generated code: {error}\n{shown}") from error
        builder = llvm.create_pass_builder(self.machine, llvm.create_pipeline_tuning_options())
        passes = llvm.create_new_module_pass_manager()
        passes.add_sroa_pass()
        if not self.hurry:
            passes.add_instruction_combine_pass()
            passes.add_simplify_cfg_pass()
        passes.run(module, builder)
        return module

    def compile(self, text):
        """The object code of a text of IR, as bytes."""
        module = self.optimised(text)
        if "asm" in switches.LOG:
            sys.stderr.write(self.machine.emit_assembly(module))
        return self.emit(module)

    def emit(self, module):
        """`machine.emit_object(module)` without llvmlite's lock, see Note [llvmlite's lock]."""
        from llvmlite.binding import ffi

        call = ffi.lib.LLVMPY_TargetMachineEmitToMemory
        with ffi.OutputString() as error:
            buffer = getattr(call, "_cfn", call)(self.machine, module, 1, error)
            if not buffer:
                raise RuntimeError(f"LLVM makes no code: {error}")
        try:
            return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer))
        finally:
            ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


def compile_texts(texts, hurry=False):
    """The object code of each text of IR. Threads take one text after the other."""
    if not texts:
        return []
    codes, errors, waiting = [None] * len(texts), [], iter(range(len(texts)))

    def work():
        try:
            for number in waiting:
                codes[number] = Compiler(hurry).compile(texts[number])
        except Exception as error:
            errors.append(error)
    count = min(count_threads(), len(texts))
    memory.require(ROOM * count)
    threads = []
    for _ in range(count - 1):
        thread = threading.Thread(target=work, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            break  # the system gives no more threads: those that run do the work
        threads.append(thread)
    work()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return codes


@functools.cache
def loader():
    """LLVM's own loader of object code, for systems that loader.py does not support."""
    found = library().create_mcjit_compiler(library().parse_assembly(Compiler().header), target_machine(), True)
    found._owned = True  # never disposed of: threads may be inside its code when the interpreter ends
    return found
