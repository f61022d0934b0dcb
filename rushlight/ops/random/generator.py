"""Generators: the state of the MT19937 engine that every random operator of the CPU draws from.

Note [The state is a value] A generator holds a tensor of `STATE_WORDS` 32-bit words: the 624 words of the engine, how
many draws are left before the next twist, the place of the next draw, whether a normal number is cached, and that
number. An operator that draws reads this tensor and returns a new one next to its result, and the generator keeps the
new one. So the order of draws is an ordinary data dependency of the stream: nothing has to wait, a dead result costs
nothing but its draws, and seeding is making another tensor. Read `random` next.
"""

import contextlib
import ctypes
import os
import struct

from ...base.lazy import numpy as np
from ...core import dtype as dt
from ...core.declare import REGISTRY, public
from ...core.device import CPU, resolve
from ...core.layout import contiguous_layout
from ...core.record import record
from ...core.storage import new_storage
from ...core.stream import STREAM
from ...core.tensor import Tensor, view
from ..basic.creation import empty
from ..basic.transfer import to_device

WORDS, MIDDLE = 624, 397
LEFT, NEXT, CACHED, NORMAL = WORDS, WORDS + 1, WORDS + 2, WORDS + 4  # places behind the engine's words
STATE_WORDS = 640
STATE_LAYOUT = contiguous_layout((STATE_WORDS,), dt.int32)
STATE_OUT = ((STATE_WORDS,), (1,), dt.int32)
DEFAULT_SEED = 67280421310721
# PyTorch's bytes: seed, left, seeded, next, 624 words of 8 bytes, x, y, rho, valid, padding, the cached float and
# whether it is valid
FORM = struct.Struct(f"<QiiQ{8 * WORDS}sdddiifi")


def seeded_words(seed):
    """The 624 words that MT19937's `init_genrand` makes from 32 bits of seed."""
    word = seed & 0xFFFFFFFF
    words = [word]
    for i in range(1, WORDS):
        word = (1812433253 * (word ^ (word >> 30)) + i) & 0xFFFFFFFF
        words.append(word)
    return words


def state_tensor(words, left=1, place=0, cached=False, normal=0.0):
    """A state as a tensor over memory of its own."""
    room, start = new_words()
    room[start:start + WORDS] = list(words)
    room[start + LEFT], room[start + NEXT], room[start + CACHED] = left, place, cached
    struct.pack_into("=d", room, 4 * (start + NORMAL), normal)
    return state_over(room, start)


def new_words():
    """Memory for a state, and the number of the word at which a cache line begins."""
    room = (ctypes.c_uint32 * (STATE_WORDS + 16))()
    return room, (-ctypes.addressof(room) % 64) // 4


def state_over(room, start):
    """The tensor over a state in memory of `new_words`."""
    storage = new_storage(STATE_LAYOUT.nbytes, CPU)
    storage.address, storage.block = ctypes.addressof(room) + 4 * start, room
    return view(storage, STATE_LAYOUT, 0)


def twist(words):
    """Renew the engine's words, an array of uint32, in place."""
    turn = WORDS - MIDDLE
    for start, stop in ((0, turn), (turn, 2 * turn), (2 * turn, WORDS - 1), (WORDS - 1, WORDS)):
        here = np.arange(start, stop)
        mixed = (words[here] & np.uint32(1 << 31)) | (words[(here + 1) % WORDS] & np.uint32((1 << 31) - 1))
        odd = np.where(mixed & np.uint32(1), np.uint32(0x9908B0DF), np.uint32(0))
        words[here] = words[(here + MIDDLE) % WORDS] ^ (mixed >> np.uint32(1)) ^ odd


def tempered(word):
    """The draw that a word gives."""
    word ^= word >> 11
    word ^= (word << 7) & 0x9D2C5680
    word ^= (word << 15) & 0xEFC60000
    return word ^ (word >> 18)


def checked_seed(seed):
    """A seed as 64 bits. ValueError outside of [-2**63, 2**64)."""
    if not -(1 << 63) <= seed < 1 << 64:
        raise ValueError("Overflow when unpacking long long")
    return seed & 0xFFFFFFFFFFFFFFFF


class Generator:
    """Generator(device="cpu"): a source of random numbers with a state of its own, seeded with 67280421310721."""

    def __init__(self, device="cpu"):
        try:
            self._device = resolve(device)
        except AssertionError:
            raise RuntimeError(f"Cannot get {device} generator: rushlight has none for device {device}") from None
        self._seed = DEFAULT_SEED
        self._state = None
        self._host = None  # memory of the state while `words` draws from it; then there is no tensor

    @property
    def device(self):
        """Where the numbers are made."""
        return self._device

    def state(self):
        """The tensor that the next draw starts from."""
        if self._state is None:
            if self._host is None:
                state, host = state_tensor(seeded_words(self._seed)), None
            else:
                state, host = state_over(*self._host), None
            self._state, self._host = to_device(state, self._device), host
        return self._state

    def advance(self, state):
        """Take the state that a recorded draw leaves."""
        self._state = state

    def words(self, count):
        """The next `count` draws, integers of 32 bits, at once: for who needs few numbers and needs them now. Sync
        point."""
        with STREAM.lock:
            if self._host is None:
                room, start = new_words()
                words = np.frombuffer(room, np.uint32)[start:]
                words[:STATE_WORDS] = self.state()._array().view(np.uint32)
                self._host, self._state = (room, start), None
            room, start = self._host
            found = []
            for _ in range(count):
                left, place = room[start + LEFT], room[start + NEXT]
                if left == 1:
                    twist(np.frombuffer(room, np.uint32)[start:start + WORDS])
                    left, place = WORDS + 1, 0
                room[start + LEFT], room[start + NEXT] = left - 1, place + 1
                found.append(tempered(room[start + place]))
        return found

    def manual_seed(self, seed):
        """Restart from a seed (negative ones count from 2**64); returns the generator."""
        if not isinstance(seed, int):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        self._seed, self._state, self._host = checked_seed(seed), None, None
        return self

    def seed(self):
        """Restart from a seed of the operating system's entropy; returns it."""
        seed = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(seed)
        return seed

    def initial_seed(self):
        """The seed this generator was started with."""
        return self._seed

    def get_state(self):
        """The state as a uint8 tensor of 5056 bytes, in PyTorch's layout."""
        STREAM.flush()
        words = np.array(self.state()._array()).view(np.uint32)
        cached = bool(words[CACHED])
        normal = struct.unpack("<d", words[NORMAL:NORMAL + 2].tobytes())[0] if cached else 0.0
        engine = words[:WORDS].astype("<u8").tobytes()
        data = FORM.pack(self._seed, int(words[LEFT]), 1, int(words[NEXT]), engine, 0.0, normal, 0.0, cached, 0, 0.0, 0)
        found = empty(len(data), dtype=dt.uint8)
        found._array()[...] = np.frombuffer(data, np.uint8)
        return found

    def set_state(self, new_state):
        """Continue from a state that `get_state` gave. TypeError unless a uint8 tensor, RuntimeError for a wrong
        size."""
        if not isinstance(new_state, Tensor):
            raise TypeError(f"expected a torch.ByteTensor, but got {type(new_state).__name__}")
        if new_state.dtype is not dt.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if new_state.numel() != FORM.size:
            raise RuntimeError(f"Expected a CPUGeneratorImplState of size {FORM.size} but found the input RNG state "
                               f"size to be {new_state.numel()}")
        data = np.ascontiguousarray(new_state._array()).tobytes()
        seed, left, seeded, place, words, _, normal, _, cached, _, _, _ = FORM.unpack(data)
        if not 0 < left <= WORDS or place > WORDS or not seeded:
            raise RuntimeError("Invalid mt19937 state")
        self._seed, self._host = seed, None
        state = state_tensor(np.frombuffer(words, "<u8"), left, place, cached != 0, normal)
        self._state = to_device(state, self._device)
        return self

    def clone_state(self):
        """A generator that will draw the same numbers."""
        other = Generator(self._device)
        other._seed, other._state = self._seed, self.state()
        return other

    def get_offset(self):
        raise RuntimeError("CPU Generator does not use offset")

    def set_offset(self, offset):
        raise RuntimeError("CPU Generator does not use offset")

    def graphsafe_get_state(self):
        raise NotImplementedError("graphsafe_get_state is not supported in this Generator")

    def graphsafe_set_state(self, state):
        raise NotImplementedError("graphsafe_set_state is not supported in this Generator")

    def __reduce__(self):
        return Generator, (self.device,), (self.initial_seed(), None, self.get_state())

    def __setstate__(self, state):
        self.set_state(state[2])

    def __repr__(self):
        return f"<torch._C.Generator object at {id(self):#x}>"


default_generator = Generator()
default_generator.seed()
DEFAULTS = {CPU: default_generator}  # of each device


def generator_of(generator, device=CPU):
    """The generator an argument `generator=` means for a tensor on a device. RuntimeError for one of another device."""
    if generator is None:
        found = DEFAULTS.get(device)
        if found is None:
            found = DEFAULTS[device] = Generator(device).manual_seed(default_generator.initial_seed())
        return found
    if not isinstance(generator, Generator):
        raise TypeError(f"argument 'generator' must be torch.Generator, not {type(generator).__name__}")
    if generator.device is not device:
        raise RuntimeError(f"Expected a '{device}' device type for generator but found '{generator.device}'")
    return generator


def draw(op, generator, outs, device, pattern="t", tensors=(), numbers=(), attrs=()):
    """Record an operator (state, *tensors; numbers) -> (results, state) on a device and advance the generator; the list
    of results.

    `outs`: (shape, strides, dtype) of each result.
    """
    generator = generator_of(generator, device)
    attrs = (*attrs, ("out", (*outs, STATE_OUT)))
    with STREAM.lock:
        *results, state = record(op, pattern, attrs, (generator.state(), *tensors), numbers)
        generator.advance(state)
    return results


@public("torch.manual_seed random.manual_seed", out=False)
def manual_seed(seed):
    """Seed the default generator of every device; returns the CPU's. ValueError outside of [-2**63, 2**64)."""
    for generator in DEFAULTS.values():
        generator.manual_seed(int(seed))
    return default_generator


@public("torch.seed random.seed", out=False)
def seed():
    """Seed the default generators with entropy; returns the 64-bit seed."""
    found = default_generator.seed()
    manual_seed(found)
    return found


@public("torch.initial_seed random.initial_seed", out=False)
def initial_seed():
    """The seed of the default generator."""
    return default_generator.initial_seed()


@public("torch.get_rng_state random.get_rng_state", out=False)
def get_rng_state():
    """The state of the default generator, a uint8 tensor."""
    return default_generator.get_state()


@public("torch.set_rng_state random.set_rng_state", out=False)
def set_rng_state(new_state):
    """Set the state of the default generator."""
    default_generator.set_state(new_state)


@public("random.fork_rng", out=False)
@contextlib.contextmanager
def fork_rng(devices=None, enabled=True, _caller="fork_rng", _devices_kw="devices", device_type="cuda"):
    """A context after which the default generator continues as if nothing had been drawn inside."""
    if not enabled:
        yield
        return
    kept_seed, kept = default_generator._seed, default_generator.state()
    try:
        yield
    finally:
        default_generator._seed, default_generator._state, default_generator._host = kept_seed, kept, None


REGISTRY["Generator"] = Generator
REGISTRY["default_generator"] = REGISTRY["random.default_generator"] = default_generator
