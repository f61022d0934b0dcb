"""`torch.autograd.profiler`: time spent in marked ranges, and what the engine did meanwhile.

In: `record_function` ranges and the engine's counters. Out: `profile`, whose tables list the ranges. Operators run
fused and later than they are recorded, so there is no time per operator; `profile.statistics` has the engine's counts
of the profiled stretch.
"""

import functools
import threading
import time

from .. import engine
from ..core.stream import STREAM

__all__ = ["EventList", "FunctionEvent", "emit_itt", "emit_nvtx", "profile", "record_function"]


class _Active(threading.local):
    profiler = None


ACTIVE = _Active()


class FunctionEvent:
    """A finished range: `name`, `time_range` in microseconds since the profile began, `cpu_time_total`."""

    def __init__(self, name, start, end, thread=0):
        self.name = self.key = name
        self.start, self.end, self.thread = start, end, thread
        self.count = 1

    @property
    def cpu_time_total(self):
        """Microseconds."""
        return self.end - self.start

    cpu_time = self_cpu_time_total = cpu_time_total

    def __repr__(self):
        return f"<FunctionEvent name={self.name} cpu_time={self.cpu_time_total:.3f}us thread={self.thread}>"


class Average:
    """Several ranges of one name."""

    def __init__(self, events):
        self.key = self.name = events[0].name
        self.count = len(events)
        self.cpu_time_total = sum(e.cpu_time_total for e in events)
        self.self_cpu_time_total = self.cpu_time_total

    @property
    def cpu_time(self):
        """Microseconds of one call."""
        return self.cpu_time_total / self.count


class EventList(list):
    """Events with tables."""

    def key_averages(self, group_by_input_shape=False, group_by_stack_n=0, group_by_overload_name=False):
        """One entry a name."""
        names = {}
        for event in self:
            names.setdefault(event.name, []).append(event)
        return EventList([Average(events) for events in names.values()])

    def total_average(self):
        """All ranges as one."""
        return Average(list(self))

    def table(self, sort_by=None, row_limit=100, max_src_column_width=75, max_name_column_width=55,
              max_shapes_column_width=80, header=None,
              top_level_events_only=False, time_unit=None):
        """The ranges as text, one a line, the longest first if `sort_by` names a time."""
        rows = sorted(self, key=lambda e: -e.cpu_time_total) if sort_by else list(self)
        lines = [f"{'Name':{max_name_column_width}}  {'CPU total us':>14}  {'CPU time avg us':>16}  {'# of Calls':>10}"]
        lines.append("-" * len(lines[0]))
        for e in rows[:row_limit if row_limit >= 0 else None]:
            name = e.name[:max_name_column_width]
            lines.append(f"{name:{max_name_column_width}}  {e.cpu_time_total:>14.3f}  {e.cpu_time:>16.3f}  "
                         f"{e.count:>10}")
        return "\n".join(([header] if header else []) + lines) + "\n"


class profile:
    """Context manager that collects `record_function` ranges and the engine's counters.

    `use_cuda`, `record_shapes`, `with_flops`, `profile_memory`, `with_stack` and their like are accepted; they add
    nothing."""

    def __init__(self, enabled=True, *, use_cuda=False, use_device=None, record_shapes=False, with_flops=False,
                 profile_memory=False,
                 with_stack=False, with_modules=False, use_kineto=False, use_cpu=True, experimental_config=None,
                 acc_events=False,
                 custom_trace_id_callback=None, post_processing_timeout_s=None, activity_filters=None):
        self.enabled = enabled
        self.function_events, self.statistics = EventList(), {}
        self.began = self.outer = None

    def __enter__(self):
        if self.enabled:
            STREAM.flush()
            self.before = engine.statistics()
            self.outer, ACTIVE.profiler = ACTIVE.profiler, self
            self.began = time.perf_counter_ns()
        return self

    def __exit__(self, *error):
        if self.enabled:
            STREAM.flush()
            self.elapsed = (time.perf_counter_ns() - self.began) / 1e3
            ACTIVE.profiler = self.outer
            self.statistics = {name: value - self.before[name] for name, value in engine.statistics().items()}
        return False

    def note(self, name, start, end):
        """Take a finished range."""
        self.function_events.append(FunctionEvent(name, (start - self.began) / 1e3, (end - self.began) / 1e3,
                                                  threading.get_ident()))

    def key_averages(self, group_by_input_shape=False, group_by_stack_n=0, group_by_overload_name=False):
        """One entry a name."""
        return self.function_events.key_averages()

    def total_average(self):
        """All ranges as one."""
        return self.function_events.total_average()

    def table(self, sort_by=None, row_limit=100, **named):
        """The ranges as text."""
        return self.function_events.table(sort_by, row_limit, **named)

    @property
    def self_cpu_time_total(self):
        """Microseconds between entering and leaving."""
        return self.elapsed

    def export_chrome_trace(self, path):
        """Not there."""
        raise NotImplementedError("autograd.profiler.profile.export_chrome_trace is not implemented in rushlight")


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
