"""CRC-32 of zip archives as LLVM IR text, for x86-64 processors with carry-less multiplication.

Note [Folding]
A CRC is the remainder of a polynomial over bits. Multiplying 64 bytes of it by x^512 modulo the polynomial, which is
two carry-less multiplications for each 16 bytes, puts them on top of the next 64 without changing the remainder; what
is left at the end is 16 bytes for zlib. V. Gopal et al., "Fast CRC Computation for Generic Polynomials Using
PCLMULQDQ Instruction", Intel 2009; the constants are those of the bit-reversed polynomial of zip.
"""

SYMBOL = "rushlight_crc32"
BLOCK = 64  # bytes
FOLD_BLOCK = (0x0154442BD4, 0x01C6E41596)  # by 64 bytes
FOLD_LANE = (0x01751997D0, 0x00CCAA009E)  # by 16 bytes

HEAD = """
declare <2 x i64> @llvm.x86.pclmulqdq(<2 x i64>, <2 x i64>, i8)
define void @rushlight_crc32(ptr %data, i64 %blocks, i32 %state, ptr %out) nounwind {
entry:
"""


class Lines:
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


def text():
    """The function (data, number of blocks, state, out): writes 16 bytes with the same remainder as the blocks, at
    least one."""
    lines = Lines()
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
