"""A linker for kernels on disk: from relocatable ELF objects to the addresses of their functions.

A warm start needs no compiler, and this much of a linker is smaller than LLVM's: importing that costs a third of the
time to a first result and half of its memory. `supported` says where it works; jit.py uses LLVM's elsewhere.

Note [One block]
All sections of an object that live in memory are copied into one mapping: code and constants, then stubs and slots
for outside functions, then, on pages of their own, what may be written. The first part is made executable and
read-only before anyone calls it. Mappings are never given back.

Note [Damaged objects]
An object may come from a damaged disk. `check` compares every offset, size and number in it with what there is; LLVM
ends the process instead, so it gets no object that has not been checked. Relocations write only inside their sections.
"""

import ctypes
import mmap
import struct
import sys

from . import cpuinfo, memory

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_RELOCATABLE, _X86_64 = 1, 62
_MACHINES = {"x86_64": _X86_64, "aarch64": 183}
_NOTHING, _SYMBOLS, _RELOCATIONS, _ZEROS = 0, 2, 4, 8
_WRITE, _ALLOCATE = 1, 2
_UNDEFINED, _ABSOLUTE, _SECTION_SYMBOL = 0, 0xFFF1, 3
# Kinds of relocations: an address; a distance; a distance to a function; distances to a slot that holds an address.
_ADDRESS, _DISTANCE, _CALL, _SLOT = 1, 2, 4, (9, 41, 42)
_STUB = b"\xff\x25\x02\x00\x00\x00\x66\x90"  # jmp *(the address behind these eight bytes)
_PAGE = mmap.PAGESIZE
_MOST = 256 << 20  # bytes of all sections of an object
_DAMAGED = (struct.error, IndexError, UnicodeDecodeError, OverflowError, ValueError)
_kept = []


def supported():
    """Whether `load` works here: Linux on x86-64."""
    return sys.platform == "linux" and cpuinfo.architecture() == "x86_64"


class _Section:
    """A section header, and where the section lies in memory."""

    def __init__(self, fields):
        _, self.kind, self.flags, _, self.offset, self.size, self.link, self.info, self.align, _ = fields
        self.align = max(self.align, 1)
        self.address = None

    def __add__(self, value):
        """The address of an offset; ValueError outside of the section."""
        if self.address is None or not 0 <= value <= self.size:
            raise ValueError("an address outside of all sections")
        return self.address + value


def load(code, resolve):
    """Load object code (bytes): the dictionary of its global symbols {name: address}.

    resolve: name of an outside function -> address. ValueError for an object that is damaged, or that this loader does
    not understand.
    """
    try:
        sections = _sections(code, _X86_64)
        symbols = _symbols(code, sections)
        relocations = _relocations(code, sections)
        outside = sorted({symbols[r[1] >> 32][0] for _, r in relocations if symbols[r[1] >> 32][1] == _UNDEFINED})
        mapping, block, fixed = _place(code, sections, len(outside))
        stubs = {name: block + fixed - 16 * (len(outside) - i) for i, name in enumerate(outside)}
        for name, stub in stubs.items():
            ctypes.memmove(stub, _STUB + struct.pack("<Q", resolve(name)), 16)
        for section, (offset, info, addend) in relocations:
            name, index, value = symbols[info >> 32]
            inside = index != _UNDEFINED
            target = stubs[name] if not inside else value if index == _ABSOLUTE else sections[index] + value
            _relocate(info & 0xFFFFFFFF, section, offset, target, addend, inside)
        found = {name: sections[index] + value for name, index, value in symbols
                 if name and index not in (_UNDEFINED, _ABSOLUTE) and sections[index].address is not None}
    except _DAMAGED as error:
        raise ValueError(f"a damaged object: {error}") from error
    if ctypes.CDLL(None).mprotect(ctypes.c_void_p(block), ctypes.c_size_t(_up(fixed)), 5):  # read and execute
        raise ValueError("this system does not let memory become executable")
    _kept.append(mapping)
    return found


def check(code):
    """ValueError for object code (bytes) that is not what LLVM makes for this processor, as far as its tables tell.
    Nothing is checked where objects are not ELF files.
    """
    machine = _MACHINES.get(cpuinfo.architecture())
    if sys.platform != "linux" or machine is None:
        return
    try:
        sections = _sections(code, machine)
        symbols = _symbols(code, sections)
        for section, (offset, info, _) in _relocations(code, sections):
            if offset + 4 > section.size or info >> 32 >= len(symbols):
                raise ValueError("a relocation outside of its section")
    except _DAMAGED as error:
        raise ValueError(f"a damaged object: {error}") from error


def _sections(code, expected):
    """The sections of an object. ValueError if one reaches outside of it."""
    if len(code) < _HEADER.size or code[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a relocatable object")
    kind, machine, _, _, _, table, _, _, _, _, size, count, names = _HEADER.unpack_from(code)[1:]
    if kind != _RELOCATABLE or machine != expected or size != _SECTION.size:
        raise ValueError("not a relocatable object for this processor")
    sections = [_Section(_SECTION.unpack_from(code, table + i * size)) for i in range(count)]
    for section in sections:
        if section.kind not in (_NOTHING, _ZEROS) and section.offset + section.size > len(code):
            raise ValueError("a section outside of the object")
        if section.align & (section.align - 1) or section.align > _PAGE or section.link >= count:
            raise ValueError("a section that cannot be aligned")
    if names >= count or sum(section.size for section in sections) > _MOST:
        raise ValueError("sections of an impossible size")
    return sections


def _relocations(code, sections):
    """(section, (offset, symbol and kind, addend)) of every relocation in the sections that are loaded."""
    return [(sections[s.info], _RELOCATION.unpack_from(code, at)) for s in sections
            if s.kind == _RELOCATIONS and sections[s.info].flags & _ALLOCATE
            for at in range(s.offset, s.offset + s.size, _RELOCATION.size)]


def _up(size, to=_PAGE):
    return -(-size // to) * to


def _symbols(code, sections):
    """(name, number of the section, offset in it) of every symbol."""
    found = []
    for section in sections:
        if section.kind == _SYMBOLS:
            names = sections[section.link].offset
            for at in range(section.offset, section.offset + section.size, _SYMBOL.size):
                name, info, _, index, value, _ = _SYMBOL.unpack_from(code, at)
                start = names + name
                text = "" if info & 15 == _SECTION_SYMBOL else code[start:code.index(b"\0", start)].decode()
                found.append((text, index, value))
    return found


def _place(code, sections, outside):
    """Copy the sections that live in memory into a new mapping; what keeps it, its address, and the bytes of its fixed
    part.
    """
    size, ends = 0, []
    for writable in (False, True):
        for section in sections:
            if section.flags & _ALLOCATE and bool(section.flags & _WRITE) == writable:
                size = _up(size, section.align)
                section.address = size
                size += section.size
        if not writable:
            size = _up(size, 16) + 16 * outside
        ends.append(size)
        size = _up(size)
    area = memory.anonymous(max(size, _PAGE))
    view = ctypes.c_char.from_buffer(area)
    block = ctypes.addressof(view)
    for section in sections:
        if section.address is not None:
            if section.kind != _ZEROS:
                area[section.address:section.address + section.size] = code[section.offset:section.offset
                                                                            + section.size]
            section.address += block
    return (area, view), block, ends[0]


def _relocate(kind, section, offset, target, addend, inside):
    place = section + offset
    if offset + (8 if kind == _ADDRESS else 4) > section.size:
        raise ValueError("a relocation outside of its section")
    if kind == _ADDRESS and inside:
        ctypes.c_int64.from_address(place).value = target + addend
    elif kind == _CALL or kind == _DISTANCE and inside:
        distance = target + addend - place
        if not -(1 << 31) <= distance < 1 << 31:
            raise ValueError("an object is larger than its code model allows")
        ctypes.c_int32.from_address(place).value = distance
    elif kind in _SLOT and not inside:
        ctypes.c_int32.from_address(place).value = target + 8 + addend - place
    else:
        raise ValueError(f"relocation of kind {kind} is not implemented in rushlight")
