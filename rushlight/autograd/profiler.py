"""`torch.autograd.profiler`: time spent in operators and marked ranges, as events, tables and Chrome traces.

While a profile runs, each public operator of this thread is run at once and timed, so that its time is its own: nothing
fuses. `profile(operators=False)` times `record_function` ranges alone and leaves the program as it is. The engine's
counters over the profiled stretch are in `profile.statistics`. Read next: `profiler.py`, the schedule around it.
"""

import functools
import gzip
import json
import os
import threading
import time

from .. import engine
from ..core import dispatch
from ..core.stream import STREAM
from ..core.tensor import Tensor

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg", "emit_itt", "emit_nvtx", "profile", "record_function"]


class _Active(threading.local):
    profiler = None


ACTIVE = _Active()
WRITES = ("Tensor.__setitem__", "Tensor.backward")  # work without results
DIGITS = 1e3, 1e6  # microseconds from which on times are shown in ms and s


def shown(microseconds):
    """A time with its unit."""
    if microseconds >= DIGITS[1]:
        return f"{microseconds / DIGITS[1]:.3f}s"
    return f"{microseconds / DIGITS[0]:.3f}ms" if microseconds >= DIGITS[0] else f"{microseconds:.3f}us"


class _Times:
    """The texts of an event's times."""

    cuda_time = device_time = self_device_time_total = device_time_total = 0
    cpu_memory_usage = self_cpu_memory_usage = 0

    @property
    def cpu_time_str(self):
        return shown(self.cpu_time)

    @property
    def cpu_time_total_str(self):
        return shown(self.cpu_time_total)

    @property
    def self_cpu_time_total_str(self):
        return shown(self.self_cpu_time_total)


class FunctionEvent(_Times):
    """A finished operator or range: `name`, `start` and `end` in microseconds since the profile began, the shapes of
    its tensors if they were asked for, and the events inside it (`cpu_children`, `cpu_parent`)."""

    def __init__(self, name, start, end, thread=0, input_shapes=(), is_user_annotation=False, id=0):
        self.name = self.key = name
        self.start, self.end, self.thread, self.id = start, end, thread, id
        self.input_shapes, self.is_user_annotation = list(input_shapes), is_user_annotation
        self.count, self.cpu_parent, self.cpu_children = 1, None, []

    @property
    def cpu_time_total(self):
        """Microseconds."""
        return self.end - self.start

    cpu_time = cpu_time_total

    @property
    def self_cpu_time_total(self):
        """Microseconds outside the events inside it."""
        return self.cpu_time_total - sum([child.cpu_time_total for child in self.cpu_children])

    def __repr__(self):
        return (f"<FunctionEvent id={self.id} name={self.name} cpu_time={self.cpu_time_str} "
                f"thread={self.thread} input_shapes={self.input_shapes}>")


class FunctionEventAvg(_Times):
    """Several events of one name."""

    def __init__(self, events):
        first = events[0]
        self.key = self.name = first.name
        self.input_shapes, self.is_user_annotation = first.input_shapes, first.is_user_annotation
        self.count = len(events)
        self.cpu_time_total = sum([e.cpu_time_total for e in events if not within(e, first.name)])
        self.self_cpu_time_total = sum([e.self_cpu_time_total for e in events])
        self.cpu_children, self.cpu_parent = [], None

    @property
    def cpu_time(self):
        """Microseconds of one call."""
        return self.cpu_time_total / self.count

    def __repr__(self):
        return (f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} "
                f"cpu_time={self.cpu_time_str} input_shapes={self.input_shapes or ''}>")


def within(event, name):
    """Whether an event is inside one of the same name, whose time has its own."""
    parent = event.cpu_parent
    while parent is not None:
        if parent.name == name:
            return True
        parent = parent.cpu_parent
    return False


class EventList(list):
    """Events with tables."""

    def nest(self):
        """Sort the events by their start, and tell each the one around it."""
        self.sort(key=lambda e: (e.thread, e.start, -e.end))
        around = []
        for number, event in enumerate(self, 1):
            event.id = number
            while around and (around[-1].thread != event.thread or around[-1].end <= event.start):
                around.pop()
            if around:
                event.cpu_parent = around[-1]
                around[-1].cpu_children.append(event)
            around.append(event)

    def key_averages(self, group_by_input_shape=False, group_by_stack_n=0, group_by_overload_name=False):
        """One entry a name (and shapes of operands)."""
        names = {}
        for event in self:
            names.setdefault((event.name, str(event.input_shapes) if group_by_input_shape else None), []).append(event)
        return EventList([FunctionEventAvg(events) for events in names.values()])

    def total_average(self):
        """All events as one."""
        return FunctionEventAvg(list(self))

    @property
    def self_cpu_time_total(self):
        """Microseconds of all events."""
        return sum([e.self_cpu_time_total for e in self])

    def table(self, sort_by=None, row_limit=100, max_src_column_width=75, max_name_column_width=55,
              max_shapes_column_width=80, header=None, top_level_events_only=False, time_unit=None):
        """The events as text, one a line, the largest first if `sort_by` names a column."""
        rows = list(self)
        if sort_by is not None:
            if rows and not hasattr(rows[0], sort_by):
                raise AttributeError(f"'{type(rows[0]).__name__}' object has no attribute '{sort_by}'")
            rows.sort(key=lambda e: -getattr(e, sort_by))
        rows = [e for e in rows if not top_level_events_only or e.cpu_parent is None]
        rows = rows[:row_limit if row_limit >= 0 else None]
        total = self.self_cpu_time_total
        shapes = any([e.input_shapes for e in rows])
        width = min(max([len(e.name) for e in rows] + [20]) + 2, max_name_column_width)
        titles = ["Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg", "# of Calls"]
        rule = "  ".join(["-" * width] + ["-" * 12] * len(titles) + ["-" * 30] * shapes)
        lines = [rule, "  ".join([f"{'Name':>{width}}"] + [f"{t:>12}" for t in titles]
                                 + [f"{'Input Shapes':>30}"] * shapes), rule]
        for e in rows:
            own, whole = [f"{100 * t / total if total else 0:.2f}%" for t in (e.self_cpu_time_total, e.cpu_time_total)]
            cells = [own, e.self_cpu_time_total_str, whole, e.cpu_time_total_str, e.cpu_time_str, e.count]
            name = e.name if len(e.name) <= width else e.name[:width - 3] + "..."
            lines.append("  ".join([f"{name:>{width}}"] + [f"{c:>12}" for c in cells]
                                   + [f"{str(e.input_shapes)[:max_shapes_column_width]:>30}"] * shapes))
        lines += [rule, f"Self CPU time total: {shown(total)}"]
        return "\n".join(([header] if header else []) + lines) + "\n"

    def export_chrome_trace(self, path):
        """Write the events as a file that chrome://tracing and Perfetto show."""
        found = [{"ph": "X", "cat": "user_annotation" if e.is_user_annotation else "cpu_op", "name": e.name,
                  "pid": os.getpid(), "tid": e.thread, "ts": e.start, "dur": e.cpu_time_total,
                  "args": {"Input Dims": e.input_shapes} if e.input_shapes else {}} for e in self]
        opened = gzip.open if str(path).endswith(".gz") else open
        with opened(path, "wt", encoding="utf-8") as file:
            json.dump({"schemaVersion": 1, "traceEvents": found}, file)

    def __str__(self):
        return self.table()


def shapes_of(values):
    """The shapes of the tensors among arguments, [] for all else."""
    return [list(v.shape) if isinstance(v, Tensor) else [] for v in values]


def gives_tensors(result):
    """Whether a call was work: its result is a tensor or has some."""
    return isinstance(result, Tensor) or isinstance(result, (tuple, list)) and any(
        [isinstance(r, Tensor) for r in result])


class profile:
    """Context manager that times operators and `record_function` ranges, and collects the engine's counters.

    record_shapes: events know the shapes of their operands. operators: whether operators run one by one and are timed.
    `use_cuda`, `with_flops`, `profile_memory`, `with_stack` and their like are accepted; they add nothing."""

    def __init__(self, enabled=True, *, use_cuda=False, use_device=None, record_shapes=False, with_flops=False,
                 profile_memory=False,
                 with_stack=False, with_modules=False, use_kineto=False, use_cpu=True, experimental_config=None,
                 acc_events=False,
                 custom_trace_id_callback=None, post_processing_timeout_s=None, activity_filters=None, operators=True):
        self.enabled, self.record_shapes, self.operators = enabled, record_shapes, operators
        self.function_events, self.statistics = EventList(), {}
        self.began = self.outer = None

    def __enter__(self):
        if self.enabled:
            STREAM.flush()
            self.before = engine.statistics()
            self.outer, ACTIVE.profiler = ACTIVE.profiler, self
            if self.operators:
                dispatch.push_beneath(self.timed)
            self.began = time.perf_counter_ns()
        return self

    def __exit__(self, *error):
        if self.enabled:
            STREAM.flush()
            self.elapsed = (time.perf_counter_ns() - self.began) / 1e3
            if self.operators:
                dispatch.pop_beneath()
            ACTIVE.profiler = self.outer
            self.statistics = {name: value - self.before[name] for name, value in engine.statistics().items()}
            self.function_events.nest()
        return False

    def timed(self, entry, args, kwargs):
        """Run an operator alone, and note its time if it gave tensors."""
        start = time.perf_counter_ns()
        with dispatch.outside():
            result = entry.plain(*args, **kwargs)
        if (gives_tensors(result) or entry.path in WRITES) and not entry.path.endswith("__get__"):
            STREAM.flush()
            name = getattr(entry.function, "__name__", entry.path).removeprefix("__").removesuffix("__")
            shapes = shapes_of(args) if self.record_shapes else ()
            self.note(f"aten::{name}", start, time.perf_counter_ns(), shapes, False)
        return result

    def note(self, name, start, end, shapes=(), is_range=True):
        """Take a finished event."""
        self.function_events.append(FunctionEvent(name, (start - self.began) / 1e3, (end - self.began) / 1e3,
                                                  threading.get_ident(), shapes, is_range))

    def key_averages(self, group_by_input_shape=False, group_by_stack_n=0, group_by_overload_name=False):
        """One entry a name."""
        return self.function_events.key_averages(group_by_input_shape)

    def total_average(self):
        """All events as one."""
        return self.function_events.total_average()

    def table(self, sort_by=None, row_limit=100, **named):
        """The events as text."""
        return self.function_events.table(sort_by, row_limit, **named)

    @property
    def self_cpu_time_total(self):
        """Microseconds between entering and leaving."""
        return self.elapsed

    def export_chrome_trace(self, path):
        """Write the events as a file that chrome://tracing and Perfetto show."""
        self.function_events.export_chrome_trace(path)


class record_function:
    """A named range of the program: context manager and decorator. The stream is flushed at its end while a profiler
    runs."""

    def __init__(self, name, args=None):
        self.name, self.args = name, args
        self.start = None

    def __enter__(self):
        self.start = time.perf_counter_ns()
        return self

    def __exit__(self, *error):
        if ACTIVE.profiler is not None:
            STREAM.flush()
            ACTIVE.profiler.note(self.name, self.start, time.perf_counter_ns())
        return False

    def __call__(self, function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            with record_function(self.name, self.args):
                return function(*args, **kwargs)
        return wrapper


class emit_nvtx:
    """NVTX ranges, which need CUDA's tools: NotImplementedError on entering."""

    def __init__(self, enabled=True, record_shapes=False):
        self.enabled = enabled

    def __enter__(self):
        if self.enabled:
            raise NotImplementedError(f"autograd.profiler.{type(self).__name__} is not implemented in rushlight")
        return self

    def __exit__(self, *error):
        return False


class emit_itt(emit_nvtx):
    """ITT ranges, which need Intel's tools: NotImplementedError on entering."""
