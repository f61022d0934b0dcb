"""CRC-32, the checksum of zip archives, as `zlib.crc32` computes it and up to ten times as fast.

Used by reader.py and writer.py, where it decides how long a large checkpoint takes.

Note [Folding]
A CRC is the remainder of a polynomial over bits. Multiplying 64 bytes of it by x^512 modulo the polynomial, which is
two carry-less multiplications for each 16 bytes, puts them on top of the next 64 without changing the remainder; what
is left at the end is 16 bytes for zlib. V. Gopal et al., "Fast CRC Computation for Generic Polynomials Using
PCLMULQDQ Instruction", Intel 2009; the constants are those of the bit-reversed polynomial of zip.
"""

import ctypes
import functools
import sys
import zlib

from ..base.lazy import numpy as np

from ..runtime.cpu import cpuinfo, jit

LARGE = 1 << 20  # less is not worth a call
WORTH_A_COMPILER = 128 << 20  # what is worth loading LLVM when the program has not done so yet
BLOCK = 64
FOLD_BLOCK = (0x0154442BD4, 0x01C6E41596)  # by 64 bytes
FOLD_LANE = (0x01751997D0, 0x00CCAA009E)  # by 16 bytes

HEAD = """
declare <2 x i64> @llvm.x86.pclmulqdq(<2 x i64>, <2 x i64>, i8)
define void @rushlight_crc32(ptr %data, i64 %blocks, i32 %state, ptr %out) nounwind {
entry:
"""


def crc32(data, value=0, total=0):
    """The checksum of a bytes-like object, `value` being that of what went before.

    `total`: how many bytes the caller is going to check altogether, if it knows.
    """
    view = memoryview(data)
    if view.nbytes < LARGE or not _is_worth_it(max(total, view.nbytes)):
        return zlib.crc32(view, value)
    function = _native()
    if function is None:
        return zlib.crc32(view, value)
    array = np.frombuffer(view, dtype=np.uint8)
    blocks = array.size // BLOCK
    rest = (ctypes.c_char * 16)()
    function(array.ctypes.data, blocks, ~value & 0xFFFFFFFF, ctypes.addressof(rest))
    # zlib's own state is the complement of what it takes and returns: this one begins with nothing.
    return zlib.crc32(view[blocks * BLOCK:], zlib.crc32(rest.raw, 0xFFFFFFFF))


def _is_worth_it(total):
    return total >= WORTH_A_COMPILER or "llvmlite.binding" in sys.modules


@functools.cache
def _native():
    """The compiled function; None on a processor without carry-less multiplication."""
    if cpuinfo.architecture() != "x86_64" or not cpuinfo.has("pclmul"):
        return None
    address = jit.compile_text(_text(), ["rushlight_crc32"])["rushlight_crc32"]
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_void_p)
    return kind(address)


class _Lines:
    """Collects instructions, and names their results."""

    def __init__(self):
        self.text = []
        self._count = 0

    def emit(self, instruction):
        self._count += 1
        self.text.append(f"  %t{self._count} = {instruction}")
        return f"%t{self._count}"

    def load(self, pointer, lane):
        place = self.emit(f"getelementptr i8, ptr {pointer}, i64 {lane * 16}")
        return self.emit(f"load <2 x i64>, ptr {place}, align 1")

    def fold(self, state, constants, onto):
        """`state` moved on by what the constants say, added to `onto`."""
        pair = f"<2 x i64> <i64 {constants[0]}, i64 {constants[1]}>"
        low = self.emit(f"call <2 x i64> @llvm.x86.pclmulqdq(<2 x i64> {state}, {pair}, i8 0)")
        high = self.emit(f"call <2 x i64> @llvm.x86.pclmulqdq(<2 x i64> {state}, {pair}, i8 17)")
        return self.emit(f"xor <2 x i64> {self.emit(f'xor <2 x i64> {low}, {high}')}, {onto}")


def _text():
    """The function in LLVM's language: at least one block of 64 bytes in, 16 bytes with the same remainder out."""
    lines = _Lines()
    start = [lines.load("%data", lane) for lane in range(4)]
    wide = lines.emit("zext i32 %state to i64")
    first = lines.emit(f"insertelement <2 x i64> zeroinitializer, i64 {wide}, i32 0")
    start[0] = lines.emit(f"xor <2 x i64> {start[0]}, {first}")
    lines.text.append("  br label %test\ntest:")
    lines.text.append("  %done = phi i64 [1, %entry], [%more, %body]")
    states = [f"%s{lane}" for lane in range(4)]
    for lane, state in enumerate(states):
        lines.text.append(f"  {state} = phi <2 x i64> [{start[lane]}, %entry], [%f{lane}, %body]")
    lines.text.append("  %again = icmp ult i64 %done, %blocks\n  br i1 %again, label %body, label %end\nbody:")
    pointer = lines.emit(f"getelementptr i8, ptr %data, i64 {lines.emit('mul i64 %done, 64')}")
    for lane, state in enumerate(states):
        folded = lines.fold(state, FOLD_BLOCK, lines.load(pointer, lane))
        lines.text.append(f"  %f{lane} = or <2 x i64> {folded}, zeroinitializer")
    lines.text.append("  %more = add i64 %done, 1\n  br label %test\nend:")
    state = states[0]
    for other in states[1:]:
        state = lines.fold(state, FOLD_LANE, other)
    lines.text.append(f"  store <2 x i64> {state}, ptr %out, align 1\n  ret void\n}}\n")
    return HEAD + "\n".join(lines.text)
