"""`torch.profiler`: profiles of a training loop, step by step, with a schedule, tables and traces.

Events and their meaning are those of `autograd/profiler.py`.
"""

import enum
import os
import socket
import time

from .autograd.profiler import EventList, record_function
from .autograd.profiler import profile as _Profile

__all__ = ["ProfilerAction", "ProfilerActivity", "EventList", "profile", "record_function", "schedule",
           "supported_activities", "tensorboard_trace_handler"]


class ProfilerActivity(enum.Enum):
    """What is profiled; the CPU is all there is."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


class ProfilerAction(enum.Enum):
    """What a schedule says about a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities():
    """{ProfilerActivity.CPU}."""
    return {ProfilerActivity.CPU}


def schedule(*, wait, warmup, active, repeat=0, skip_first=0, skip_first_wait=0):
    """A function from the number of a step to its action: `skip_first` steps of nothing, then cycles of `wait`,
    `warmup` and `active` steps, `repeat` of them (0: without end). `skip_first_wait`: not 0 for a first cycle without
    waiting."""
    if wait < 0 or warmup < 0 or active <= 0 or repeat < 0 or skip_first < 0:
        raise AssertionError(f"Invalid profiler schedule arguments. Got wait={wait} (need >= 0), warmup={warmup} "
                             f"(need >= 0), active={active} (need > 0), repeat={repeat} (need >= 0), "
                             f"skip_first={skip_first} (need >= 0).")

    def action(step):
        if step < 0:
            raise AssertionError(f"Step must be non-negative. Got {step}.")
        step -= skip_first
        if step < 0:
            return ProfilerAction.NONE
        if skip_first_wait:
            step += wait
        cycle = wait + warmup + active
        if repeat and step // cycle >= repeat:
            return ProfilerAction.NONE
        at = step % cycle
        if at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if at < cycle - 1 else ProfilerAction.RECORD_AND_SAVE
    return action


def tensorboard_trace_handler(dir_name, worker_name=None, use_gzip=False):
    """A function for `on_trace_ready` that writes each trace to a file of its own in a folder."""
    def handler(prof):
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        path = os.path.join(dir_name, f"{worker}.{time.time_ns()}.pt.trace.json")
        prof.export_chrome_trace(path + ".gz" if use_gzip else path)
    return handler


class profile:
    """Profiles the steps of a loop: `with profile(schedule=..., on_trace_ready=...) as p: ... p.step()`.

    Without a schedule everything inside is recorded. on_trace_ready(p) is called where a cycle of the schedule ends,
    or at the end. record_shapes: events know the shapes of their operands. The others are accepted and add nothing."""

    def __init__(self, *, activities=None, schedule=None, on_trace_ready=None, record_shapes=False,
                 profile_memory=False, with_stack=False, with_flops=False, with_modules=False,
                 experimental_config=None, execution_trace_observer=None, acc_events=False, use_cuda=None,
                 custom_trace_id_callback=None, post_processing_timeout_s=None):
        self.activities = set(activities) if activities else supported_activities()
        self._plan = schedule or (lambda step: ProfilerAction.RECORD)
        self.on_trace_ready, self.record_shapes, self.acc_events = on_trace_ready, record_shapes, acc_events
        self.step_num, self.current_action = 0, self._plan(0)
        self.profiler, self._range, self._metadata = None, None, {}
        self._by_steps = schedule is not None

    def start(self):
        """Begin."""
        self._turn(ProfilerAction.NONE, self.current_action)

    def stop(self):
        """End; what was recorded is handed on."""
        self._close_range()
        if self._recording():
            self._end()
            self._ready()

    def step(self):
        """The next step of the loop begins."""
        self._close_range()
        before = self.current_action
        self.step_num += 1
        self.current_action = self._plan(self.step_num)
        self._turn(before, self.current_action)

    def _recording(self):
        return self.profiler is not None and self.profiler.began is not None and not hasattr(self.profiler, "elapsed")

    def _turn(self, before, now):
        active = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        if before is ProfilerAction.RECORD_AND_SAVE or before in active and now not in active:
            self._end()
            self._ready()
        if now in active and not self._recording():
            self.profiler = _Profile(record_shapes=self.record_shapes)
            self.profiler.__enter__()
        if self._by_steps and now in active:
            self._range = record_function(f"ProfilerStep#{self.step_num}")
            self._range.__enter__()

    def _close_range(self):
        if self._range is not None:
            self._range.__exit__(None, None, None)
            self._range = None

    def _end(self):
        if self._recording():
            self.profiler.__exit__(None, None, None)

    def _ready(self):
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.stop()

    def _done(self):
        if self.profiler is None:
            raise AssertionError("Profiler must be initialized before its events are asked for")
        return self.profiler

    def events(self):
        """The events of the last recording."""
        return self._done().function_events

    def key_averages(self, group_by_input_shape=False, group_by_stack_n=0, group_by_overload_name=False):
        """One entry a name (and shapes of operands)."""
        return self.events().key_averages(group_by_input_shape)

    def export_chrome_trace(self, path):
        """Write the events as a file that chrome://tracing and Perfetto show; packed for a name that ends in .gz."""
        self.events().export_chrome_trace(path)

    def add_metadata(self, key, value):
        """Keep a note about the run."""
        self._metadata[key] = value

    def add_metadata_json(self, key, value):
        """Keep a note about the run, JSON as text."""
        self._metadata[key] = value
