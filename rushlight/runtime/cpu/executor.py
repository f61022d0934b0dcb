"""The native code that runs programs: made on first use, called through functions that cost Python about 40 ns.

In: the address of a program block {records, count, wake}; out: Python callables that take the address of a table,
run the program and return the table's error word. Read next: native.py for the code, program.py for its users.
"""

import ctypes
import functools

from . import jit, native

SPIN_NANOSECONDS = 150_000
_METH_O, _METH_FASTCALL = 0x0008, 0x0080
_BLOCKED = 0xFFFFFFFFFFFFFFFF
_FAULTS = (4, 5, 6, 8, 11)  # SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGSEGV: faulthandler wants them from every thread
_starters, _kept = [], []
_code = {}


class _MethodDef(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


def code():
    """The dictionary {symbol: address} of the native functions; compiles or loads them at the first call."""
    if not _code:
        with jit.hold():
            if not _code:
                _start()
    return _code


def _start():
    """Make the native code, set up the pool's state, tell those who asked for it."""
    system, _ = native.rows()
    libc = ctypes.CDLL(None)
    for name in native.LIBC + system.symbols:
        jit.add_symbol(name, jit.pointer(getattr(libc, name)))
    for name in native.python_names():
        jit.add_symbol(name, jit.pointer(getattr(ctypes.pythonapi, name)))
    found = jit.compile_text(native.text(), native.symbols())
    address = found["state"] = ctypes.CFUNCTYPE(ctypes.c_void_p)(found["pool_state"])()
    ctypes.c_int64.from_address(address + native.OFFSETS["spin"]).value = SPIN_NANOSECONDS
    mask = _BLOCKED
    for signal in (*_FAULTS, system.bus_signal):
        mask &= ~(1 << (signal - 1))
    for word in range(16):
        ctypes.c_uint64.from_address(address + native.OFFSETS["signals"] + 8 * word).value = _BLOCKED if word else mask
    _code.update(found)
    for starter in _starters:
        starter()


def ready():
    """Whether the native code exists already."""
    return bool(_code)


def on_start(function):
    """Call `function()` when the native code has been made, before the first program is."""
    _starters.append(function)


def state():
    """The address of the pool's state."""
    return code()["state"]


def field(name, kind=ctypes.c_int32):
    """A ctypes view of one field of the pool's state."""
    return kind.from_address(state() + native.OFFSETS[name])


def bind(block, release):
    """A function of one table address that runs the program in `block`, a ctypes array which it keeps alive.

    `release` lets other Python threads run meanwhile.
    """
    address = code()["py_run_released" if release else "py_run"]
    return _new_method()(ctypes.byref(_definition(address)), ctypes.addressof(block), block)


@functools.cache
def outside():
    """A function (address, count, step, size, low, high, skip): the number of the first integer that is out of bounds,
    or -1; see native.py. No argument is checked."""
    return function("py_outside")


def function(symbol):
    """A Python function of positional arguments (METH_FASTCALL) over one of the native functions. No argument is
    checked."""
    definition = _MethodDef(symbol.encode(), code()[symbol], _METH_FASTCALL, b"See the native code of this name.")
    _kept.append(definition)
    return _new_method()(ctypes.byref(definition), None, None)


@functools.cache
def queue(release):
    """A function of one address that runs the queue there, see native.py: 0, or the number of the entry that failed.

    `release` lets other Python threads run meanwhile.
    """
    address = code()["py_run_queue_released" if release else "py_run_queue"]
    return _new_method()(ctypes.byref(_definition(address)), None, None)


def batch_task():
    """The address of the kernel that runs batches, see native.py."""
    return code()["batch_task"]


@functools.cache
def _definition(address):
    return _MethodDef(b"run", address, _METH_O, b"Run the program with the table at this address; its error word.")


@functools.cache
def _new_method():
    function = ctypes.pythonapi.PyCFunction_NewEx
    function.restype = ctypes.py_object
    function.argtypes = [ctypes.POINTER(_MethodDef), ctypes.py_object, ctypes.py_object]
    return function

