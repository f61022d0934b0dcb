"""`torch.utils.benchmark`: times of statements, as measurements with medians and spreads, and tables of them.

The clock runs what is pending before it is read, so that a measurement covers the work and not its recording alone.
"""

import dataclasses
import math
import statistics
import textwrap
import time
import timeit

from .. import api as rl

UNITS = (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0))
ENGLISH = {"ns": "nanosecond", "us": "microsecond", "ms": "millisecond", "s": "second"}
MOST_SIGNIFICANT, LEAST_SIGNIFICANT = 4, 1


def timer():
    """Seconds on a clock that waits for pending work."""
    rl.synchronize()
    return time.perf_counter()


def select_unit(t):
    """(the unit that shows a time of `t` seconds best, its seconds)."""
    scale = math.floor(math.log10(t) // 3) if t > 0 else -3
    return UNITS[min(max(scale, -3), 0) + 3]


def unit_to_english(u):
    """The word for a unit: "us" is "microsecond"."""
    return ENGLISH[u]


def trim_sigfig(x, n):
    """A number rounded to `n` significant digits."""
    if x == 0 or n <= 0:
        return 0.0 if x == 0 else x
    scale = 10.0 ** (math.ceil(math.log10(abs(x))) - n)
    return float(round(x / scale) * scale)


@dataclasses.dataclass(frozen=True)
class TaskSpec:
    """What is measured: the statement and how tables call it."""

    stmt: str
    setup: str = ""
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self):
        """The label, or else the statement."""
        if self.label is not None:
            return self.label + (f": {self.sub_label}" if self.sub_label else "")
        if "\n" not in self.stmt:
            return self.stmt + (f": {self.sub_label}" if self.sub_label else "")
        return f"stmt:\n{textwrap.indent(self.stmt, '  ')}"

    def summarize(self):
        """The title, the description and the setup, a line each."""
        lines = [self.title, self.description or ""]
        if self.setup not in ("", "pass"):
            lines.append(f"setup: {self.setup}")
        return "\n".join([line for line in lines if line])


@dataclasses.dataclass
class Measurement:
    """Times of a statement: `raw_times` in seconds, each of `number_per_run` calls."""

    number_per_run: int
    raw_times: list
    task_spec: TaskSpec
    metadata: dict | None = None

    def __getattr__(self, name):
        if name in ("stmt", "setup", "label", "sub_label", "description", "env", "num_threads", "title"):
            return getattr(self.task_spec, name)
        raise AttributeError(f"Measurement has no attribute {name!r}")

    @property
    def times(self):
        """Seconds of one call, for each run."""
        return [t / self.number_per_run for t in self.raw_times]

    @property
    def median(self):
        return statistics.median(self.times)

    @property
    def mean(self):
        return statistics.fmean(self.times)

    @property
    def iqr(self):
        """The range of the middle half of the times."""
        times = self.times
        if len(times) < 2:
            return 0.0
        low, _, high = statistics.quantiles(times, n=4, method="inclusive")
        return high - low

    @property
    def significant_figures(self):
        """How many digits of the median mean something, from the spread and the number of runs."""
        if len(self.times) < 2 or not self.median:
            return LEAST_SIGNIFICANT
        error = self.iqr / 1.35 / math.sqrt(len(self.times)) * 1.645  # of the median, at 95 %
        if not error:
            return MOST_SIGNIFICANT
        digits = math.floor(math.log10(self.median / error)) + 1
        return max(LEAST_SIGNIFICANT, min(digits, MOST_SIGNIFICANT))

    @property
    def has_warnings(self):
        """Whether the spread is so wide that the median says little."""
        return bool(self.median) and self.iqr / self.median > 0.1

    @property
    def as_row_name(self):
        return self.sub_label or self.stmt or "[Unknown]"

    @staticmethod
    def merge(measurements):
        """Measurements of equal tasks joined into one each."""
        groups = {}
        for m in measurements:
            groups.setdefault(m.task_spec, []).append(m)
        return [Measurement(ms[0].number_per_run, [t * ms[0].number_per_run for m in ms for t in m.times], spec)
                for spec, ms in groups.items()]

    def __repr__(self):
        unit, scale = select_unit(self.median)
        lines = [super().__repr__(), self.task_spec.summarize()]
        count = len(self.raw_times)
        if count > 1:
            lines.append(f"  Median: {self.median / scale:.2f} {unit}")
            lines.append(f"  IQR:    {self.iqr / scale:.2f} {unit}")
        else:
            lines.append(f"  {self.median / scale:.2f} {unit}")
        runs = f"{self.number_per_run} runs " + ("per measurement, " if count > 1 else ", ")
        threads = self.num_threads
        lines.append(f"  {count} measurement{'s' if count > 1 else ''}, {runs}{threads} thread{'s' * (threads > 1)}")
        if self.has_warnings:
            lines.append("  WARNING: Interquartile range is more than 10% of the median.\n"
                         "           This could indicate system fluctuation.")
        return "\n".join(lines)

    __str__ = __repr__


class set_torch_threads:
    """Context manager that sets the number of threads of kernels."""

    def __init__(self, n):
        self.n = n

    def __enter__(self):
        self.before = rl.get_num_threads()
        rl.set_num_threads(self.n)

    def __exit__(self, *error):
        rl.set_num_threads(self.before)


class Timer:
    """Measures a statement (text of Python) with `timeit`, in the number of threads given (by default 1).

    Args: stmt, setup, global_setup (run once for `globals`); timer, a clock in seconds; globals, the names that the
    statement sees; label, sub_label, description and env, for tables; language must be Python.
    """

    def __init__(self, stmt="pass", setup="pass", global_setup="", timer=timer, globals=None, label=None,
                 sub_label=None, description=None, env=None, num_threads=1, language="python"):
        if str(getattr(language, "name", language)).lower() not in ("python", "py"):
            raise NotImplementedError(f"Timer: language {language} is not implemented in rushlight")
        names = dict(globals or {})
        names.setdefault("torch", __import__(rl.__name__.partition(".")[0]))
        stmt, setup = textwrap.dedent(stmt).strip(), textwrap.dedent(setup).strip()
        if global_setup:
            exec(textwrap.dedent(global_setup), names)  # noqa: S102  (the caller's own text)
        self._timer = timeit.Timer(stmt, setup, timer, names)
        self._task_spec = TaskSpec(stmt, setup, global_setup, label, sub_label, description, env, num_threads)

    def _measured(self, number, times):
        return Measurement(number, times, self._task_spec)

    def timeit(self, number=1000000):
        """One run of `number` calls, after a shorter one to warm up."""
        with set_torch_threads(self._task_spec.num_threads):
            self._timer.timeit(max(number // 100, 2))
            return self._measured(number, [self._timer.timeit(number)])

    def _enough(self, seconds):
        """How many calls take about so long."""
        number = 1
        while True:
            taken = self._timer.timeit(number)
            if taken >= seconds or number >= 1 << 40:
                return number
            number *= 10 if taken < seconds / 10 else 2

    def autorange(self, callback=None):
        """`blocked_autorange`."""
        return self.blocked_autorange(callback)

    def blocked_autorange(self, callback=None, min_run_time=0.2):
        """Runs of so many calls that the clock costs little, until `min_run_time` seconds have passed."""
        return self._until(callback, min_run_time, lambda times, total: total >= min_run_time)

    def adaptive_autorange(self, threshold=0.1, *, min_run_time=0.01, max_run_time=10.0, callback=None):
        """Runs until the spread is below `threshold` of the median, or `max_run_time` seconds have passed."""
        def settled(times, total):
            if total >= max_run_time:
                return True
            if total < min_run_time or len(times) < 4:
                return False
            found = self._measured(1, times)
            return found.iqr <= threshold * found.median
        return self._until(callback, min_run_time, settled)

    def _until(self, callback, seconds, done):
        with set_torch_threads(self._task_spec.num_threads):
            number, times, total = self._enough(seconds / 1000), [], 0.0
            while not done(times, total):
                taken = self._timer.timeit(number)
                if callback is not None:
                    callback(number, taken)
                times.append(taken)
                total += taken
        return self._measured(number, times)

    def collect_callgrind(self, *args, **kwargs):
        """Counts of instructions by Valgrind: not there."""
        raise NotImplementedError("Timer.collect_callgrind is not implemented in rushlight")


class Compare:
    """A table of measurements: a row for each sub-label (or statement), a column for each description."""

    def __init__(self, results):
        self._results = []
        self.extend_results(results)
        self._trim = self._colored = False

    def extend_results(self, results):
        """Add measurements. ValueError for anything else."""
        for m in results:
            if not isinstance(m, Measurement):
                raise ValueError(f"Expected an instance of `Measurement`, got {type(m)} instead.")
        self._results += results

    def trim_significant_figures(self):
        """Show no more digits than mean something."""
        self._trim = True

    def colorize(self, rowwise=False):
        """Mark the fastest of each row (or column) with a star."""
        self._colored = "row" if rowwise else "column"

    def highlight_warnings(self):
        """Accepted: measurements print their own warnings."""

    def print(self):
        """Print the table."""
        print(str(self))

    def __str__(self):
        groups = {}
        for m in Measurement.merge(self._results):
            groups.setdefault(m.label, []).append(m)
        return "\n".join([self._table(label, ms) for label, ms in groups.items()])

    def _table(self, label, results):
        columns = list(dict.fromkeys([m.description or "" for m in results]))
        unit, scale = select_unit(min([m.median for m in results]))
        cells = {((m.num_threads, m.env, m.as_row_name), m.description or ""): m for m in results}
        rows = list(dict.fromkeys([row for row, _ in cells]))
        best = {}
        for (row, column), m in cells.items():
            key = row if self._colored == "row" else column
            best[key] = min(best.get(key, math.inf), m.median)
        threads = sorted({row[0] for row in rows})
        names = [f"{f'({row[1]})  ' if row[1] else ''}{row[2]}" for row in rows]
        width = max(len(n) for n in names) + 6
        wide = [max(len(c), 8) + 2 for c in columns]
        lines = [f"[{f' {label} ' if label else ' '}]".center(width + sum(wide), "-"),
                 " " * width + "|".join([c.center(w) for c, w in zip(columns, wide)])]
        for count in threads:
            lines.append(f"{count} threads: ".ljust(width + sum(wide), "-"))
            for row, name in zip(rows, names):
                if row[0] == count:
                    shown = [self._cell(cells.get((row, c)), best[row if self._colored == "row" else c], scale, w)
                             for c, w in zip(columns, wide)]
                    lines.append(f"      {name}".ljust(width) + "|".join(shown))
        return "\n".join([*lines, "", f"Times are in {unit_to_english(unit)}s ({unit}).", ""])

    def _cell(self, m, best, scale, width):
        if m is None:
            return " " * width
        value = trim_sigfig(m.median, m.significant_figures) if self._trim else m.median
        text = f"{value / scale:.{1 if not self._trim else 3}f}"
        return (text + ("*" if self._colored and m.median == best else " ")).rjust(width)
