"""Relocatable ELF objects in, addresses of their functions out: what a linker does, for kernels that are on disk.

A warm start needs no compiler, and this much of a linker is smaller than LLVM's: importing that costs a third of the
time to a first result and half of its memory. `supported` says where it works; jit.py uses LLVM's elsewhere.

Note [One block]
All sections of an object that live in memory are copied into one mapping: code and constants, then stubs and slots
for outside functions, then, on pages of their own, what may be written. The first part is made executable and
read-only before anyone calls it. Mappings are never given back.
"""

import ctypes
import mmap
import struct
import sys

from . import cpuinfo

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_RELOCATABLE, _X86_64 = 1, 62
_SYMBOLS, _RELOCATIONS, _ZEROS = 2, 4, 8
_WRITE, _ALLOCATE = 1, 2
_UNDEFINED, _ABSOLUTE, _SECTION_SYMBOL = 0, 0xFFF1, 3
# Kinds of relocations: an address; a distance; a distance to a function; distances to a slot that holds an address.
_ADDRESS, _DISTANCE, _CALL, _SLOT = 1, 2, 4, (9, 41, 42)
_STUB = b"\xff\x25\x02\x00\x00\x00\x66\x90"  # jmp *(the address behind these eight bytes)
_PAGE = mmap.PAGESIZE
_kept = []


def supported():
    """Whether `load` works on this machine: Linux on x86-64."""
    return sys.platform == "linux" and cpuinfo.architecture() == "x86_64"


class _Section:
    """A section header, and where the section lies in memory."""

    def __init__(self, fields):
        _, self.kind, self.flags, _, self.offset, self.size, self.link, self.info, self.align, _ = fields
        self.align = max(self.align, 1)
        self.address = None


def load(code, resolve):
    """Load object code (bytes): the dictionary of its global symbols {name: address}.

    resolve: name of an outside function -> address. ValueError for an object that this loader does not understand."""
    kind, machine, _, _, _, table, _, _, _, _, size, count, _ = _HEADER.unpack_from(code)[1:]
    if code[:6] != b"\x7fELF\x02\x01" or kind != _RELOCATABLE or machine != _X86_64 or size != _SECTION.size:
        raise ValueError("not a relocatable x86-64 object")
    sections = [_Section(_SECTION.unpack_from(code, table + i * size)) for i in range(count)]
    symbols = _symbols(code, sections)
    relocations = [(sections[s.info], _RELOCATION.unpack_from(code, at)) for s in sections if s.kind == _RELOCATIONS
                   for at in range(s.offset, s.offset + s.size, _RELOCATION.size)]
    relocations = [(where, r) for where, r in relocations if where.flags & _ALLOCATE]
    outside = sorted({symbols[r[1] >> 32][0] for _, r in relocations if symbols[r[1] >> 32][1] == _UNDEFINED})
    block, fixed = _place(code, sections, len(outside))
    stubs = {name: block + fixed - 16 * (len(outside) - i) for i, name in enumerate(outside)}
    for name, stub in stubs.items():
        ctypes.memmove(stub, _STUB + struct.pack("<Q", resolve(name)), 16)
    for section, (offset, info, addend) in relocations:
        name, index, value = symbols[info >> 32]
        inside = index != _UNDEFINED
        target = stubs[name] if not inside else value if index == _ABSOLUTE else sections[index].address + value
        _relocate(info & 0xFFFFFFFF, section.address + offset, target, addend, inside)
    if ctypes.CDLL(None).mprotect(ctypes.c_void_p(block), ctypes.c_size_t(_up(fixed)), 5):  # read and execute
        raise ValueError("this system does not let memory become executable")
    return {name: sections[index].address + value for name, index, value in symbols
            if name and index not in (_UNDEFINED, _ABSOLUTE) and sections[index].address is not None}


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
    """Copy the sections that live in memory into a new mapping; its address, and the bytes of its fixed part."""
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
    area = mmap.mmap(-1, max(size, _PAGE), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    view = ctypes.c_char.from_buffer(area)
    _kept.append((area, view))
    block = ctypes.addressof(view)
    for section in sections:
        if section.address is not None:
            if section.kind != _ZEROS:
                area[section.address:section.address + section.size] = code[section.offset:section.offset
                                                                            + section.size]
            section.address += block
    return block, ends[0]


def _relocate(kind, place, target, addend, inside):
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
