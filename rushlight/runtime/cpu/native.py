"""The thread pool and the executor as LLVM IR text: `text()`.

Note [Pool state]
One block of memory, never freed, is the pool; the offsets are those of `OFFSETS`. Fields that different threads write
lie in different cache lines.

Note [Claiming tasks]
The job word is `generation << 32 | tasks left`. A thread reads it, then the job's fields, then claims a task by
exchanging the word with one less: if that succeeds, the fields belonged to this job. So a late worker never touches a
finished job, and the caller may wait for tasks to be done instead of waiting for workers to check in: while they
sleep, it does all the work itself.

Note [Wake placement]
An operating system that wakes a thread likes to put it on the waker's CPU, where it waits for milliseconds. So before
a wake the workers are bound to all allowed CPUs but the caller's; a system call only when the caller has moved.

Note [Task order]
A program is an array of records {function, static block, tasks, mode}; `run_program` calls them. Mode bit 0: run on
this thread; bit 1: do not wake sleeping workers for it.
"""

import functools
import string

from . import native_record, native_writer, platform
from .native_run import BOUNDS, EXECUTOR

OFFSETS = {
    "job": 0,
    "done": 64,
    "fn": 128,
    "table": 136,
    "static": 144,
    "tasks": 152,
    "wakeword": 192,
    "sleepers": 196,
    "busy": 256,
    "stop": 260,
    "workers": 264,
    "wanted": 268,
    "arrived": 272,
    "waiting": 320,
    "spin": 384,
    "last_cpu": 392,
    "allowed": 512,
    "mask": 640,
    "signals": 768,
    "old_signals": 896,
    "tids": 1024,
    "handles": 2048,
}
STATE_BYTES = 4096
MAX_WORKERS = 255
SERIAL, NO_WAKE = 1, 2

SYMBOLS = (
    "pool_state",
    "parallel_for",
    "run_program",
    "acquire",
    "stop_workers",
    "batch_task",
    "py_run",
    "py_run_released",
    "py_outside",
    "py_run_queue",
    "py_run_queue_released",
)
PYTHON = ("PyLong_AsVoidPtr", "PyLong_FromLongLong", "PyEval_SaveThread", "PyEval_RestoreThread", "PyErr_Occurred",
          "PyErr_CheckSignals", "PyLong_AsLongLong")
LIBC = ("pthread_attr_init", "pthread_attr_setstacksize", "pthread_attr_destroy", "pthread_create", "pthread_join",
        "pthread_sigmask", "clock_gettime")
STACK = 8 << 20  # bytes of a worker's stack, whatever the system's default: kernels keep blocks of over 1 MiB there

_HEAD = """
$DECLARATIONS
$PAUSE_DECLARATION
declare i32 @pthread_attr_init(ptr)
declare i32 @pthread_attr_setstacksize(ptr, i64)
declare i32 @pthread_attr_destroy(ptr)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @clock_gettime(i32, ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare i64 @llvm.ctpop.i64(i64)
declare ptr @PyLong_AsVoidPtr(ptr)
declare ptr @PyLong_FromLongLong(i64)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare ptr @PyErr_Occurred()
declare i32 @PyErr_CheckSignals()
declare i64 @PyLong_AsLongLong(ptr)
@pool = internal global [$BYTES x i8] zeroinitializer, align 64

define ptr @pool_state() nounwind {
  ret ptr @pool
}

define internal void @park(ptr %word, i32 %seen) nounwind {
  $PARK
  ret void
}
define internal void @wake(ptr %word, i32 %count) nounwind {
  $WAKE
  ret void
}
define internal i64 @now() nounwind {
  %t = alloca { i64, i64 }
  %r = call i32 @clock_gettime(i32 $CLOCK, ptr %t)
  %s = load i64, ptr %t
  %np = getelementptr i8, ptr %t, i64 8
  %n = load i64, ptr %np
  %s9 = mul i64 %s, 1000000000
  %ns = add i64 %s9, %n
  ret i64 %ns
}
"""

_TASKS = """
; Claim and run tasks of the current job until none is left.
define internal void @take_tasks(ptr %p) nounwind {
entry:
  %fnp = getelementptr i8, ptr %p, i64 $fn
  %tabp = getelementptr i8, ptr %p, i64 $table
  %stap = getelementptr i8, ptr %p, i64 $static
  %ntp = getelementptr i8, ptr %p, i64 $tasks
  %donep = getelementptr i8, ptr %p, i64 $done
  %waitp = getelementptr i8, ptr %p, i64 $waiting
  br label %top
top:
  %w = load atomic i64, ptr %p seq_cst, align 8
  %left = and i64 %w, 4294967295
  %none = icmp eq i64 %left, 0
  br i1 %none, label %out, label %try
try:
  %fn = load atomic ptr, ptr %fnp monotonic, align 8
  %tab = load atomic ptr, ptr %tabp monotonic, align 8
  %sta = load atomic ptr, ptr %stap monotonic, align 8
  %nt = load atomic i64, ptr %ntp monotonic, align 8
  %w1 = sub i64 %w, 1
  %cas = cmpxchg ptr %p, i64 %w, i64 %w1 seq_cst seq_cst
  %ok = extractvalue { i64, i1 } %cas, 1
  br i1 %ok, label %go, label %top
go:
  %task = sub i64 %nt, %left
  call void %fn(ptr %tab, ptr %sta, i64 %task)
  %before = atomicrmw add ptr %donep, i32 1 seq_cst
  %waiting = load atomic i32, ptr %waitp seq_cst, align 4
  %nobody = icmp eq i32 %waiting, 0
  %after = add i32 %before, 1
  %nt32 = trunc i64 %nt to i32
  %early = icmp ne i32 %after, %nt32
  %silent = or i1 %nobody, %early
  br i1 %silent, label %top, label %tell
tell:
  call void @wake(ptr %donep, i32 1)
  br label %top
out:
  ret void
}

; A worker: spin on the job word, then sleep until somebody changes the wake word.
define internal ptr @worker(ptr %p) nounwind {
entry:
  %wordp = getelementptr i8, ptr %p, i64 $wakeword
  %sleepp = getelementptr i8, ptr %p, i64 $sleepers
  %stopp = getelementptr i8, ptr %p, i64 $stop
  %arrp = getelementptr i8, ptr %p, i64 $arrived
  %spinp = getelementptr i8, ptr %p, i64 $spin
  %tids = getelementptr i8, ptr %p, i64 $tids
  $THREAD_ID
  %tid32 = trunc i64 %tid to i32
  %ix = atomicrmw add ptr %arrp, i32 1 seq_cst
  %ix64 = sext i32 %ix to i64
  %tidp = getelementptr i32, ptr %tids, i64 %ix64
  store atomic i32 %tid32, ptr %tidp seq_cst, align 4
  br label %outer
outer:
  %limit = load i64, ptr %spinp
  %start = call i64 @now()
  br label %spin
spin:
  %n = phi i32 [ 0, %outer ], [ %n1, %pause ], [ 0, %clock ]
  %w = load atomic i64, ptr %p seq_cst, align 8
  %left = and i64 %w, 4294967295
  %some = icmp ne i64 %left, 0
  br i1 %some, label %run, label %pause
pause:
  $PAUSE
  %n1 = add i32 %n, 1
  %more = icmp slt i32 %n1, 16
  br i1 %more, label %spin, label %clock
clock:
  %t = call i64 @now()
  %spent = sub i64 %t, %start
  %on = icmp slt i64 %spent, %limit
  br i1 %on, label %spin, label %sleep
run:
  call void @take_tasks(ptr %p)
  br label %outer
sleep:
  %seen = load atomic i32, ptr %wordp seq_cst, align 4
  %s0 = atomicrmw add ptr %sleepp, i32 1 seq_cst
  %stop = load atomic i32, ptr %stopp seq_cst, align 4
  %stopping = icmp ne i32 %stop, 0
  br i1 %stopping, label %awake, label %check
check:
  %w2 = load atomic i64, ptr %p seq_cst, align 8
  %left2 = and i64 %w2, 4294967295
  %some2 = icmp ne i64 %left2, 0
  br i1 %some2, label %awake, label %parked
parked:
  call void @park(ptr %wordp, i32 %seen)
  br label %awake
awake:
  %s1 = atomicrmw sub ptr %sleepp, i32 1 seq_cst
  %stop2 = load atomic i32, ptr %stopp seq_cst, align 4
  %stopping2 = icmp ne i32 %stop2, 0
  br i1 %stopping2, label %bye, label %outer
bye:
  ret ptr null
}
"""

_WAKE_BOUND = """
declare i32 @sched_getcpu()
declare i32 @sched_setaffinity(i32, i64, ptr)
declare i32 @sched_getaffinity(i32, i64, ptr)

; Note [Wake placement]: keep the workers off this thread's CPU, then wake up to %count of them.
define internal void @wake_workers(ptr %p, i32 %count) nounwind {
entry:
  %wordp = getelementptr i8, ptr %p, i64 $wakeword
  %lastp = getelementptr i8, ptr %p, i64 $last_cpu
  %allowed = getelementptr i8, ptr %p, i64 $allowed
  %mask = getelementptr i8, ptr %p, i64 $mask
  %arrp = getelementptr i8, ptr %p, i64 $arrived
  %tids = getelementptr i8, ptr %p, i64 $tids
  %last = load i64, ptr %lastp
  %off = icmp slt i64 %last, -1
  br i1 %off, label %ring, label %where
where:
  %cpu32 = call i32 @sched_getcpu()
  %cpu = sext i32 %cpu32 to i64
  %same = icmp eq i64 %cpu, %last
  %large = icmp uge i64 %cpu, 1024
  %skip = or i1 %same, %large
  br i1 %skip, label %ring, label %bind
bind:
  store i64 %cpu, ptr %lastp
  call void @llvm.memcpy.p0.p0.i64(ptr %mask, ptr %allowed, i64 128, i1 false)
  %wi = lshr i64 %cpu, 6
  %bi = and i64 %cpu, 63
  %bit = shl i64 1, %bi
  %keep = xor i64 %bit, -1
  %wp = getelementptr i64, ptr %mask, i64 %wi
  %old = load i64, ptr %wp
  %new = and i64 %old, %keep
  store i64 %new, ptr %wp
  %n = load atomic i32, ptr %arrp seq_cst, align 4
  br label %each
each:
  %i = phi i32 [ 0, %bind ], [ %i1, %one ]
  %more = icmp slt i32 %i, %n
  br i1 %more, label %one, label %ring
one:
  %i64v = sext i32 %i to i64
  %tp = getelementptr i32, ptr %tids, i64 %i64v
  %tid = load atomic i32, ptr %tp seq_cst, align 4
  %zero = icmp eq i32 %tid, 0
  %who = select i1 %zero, i32 -1, i32 %tid
  %r = call i32 @sched_setaffinity(i32 %who, i64 128, ptr %mask)
  %i1 = add i32 %i, 1
  br label %each
ring:
  %o = atomicrmw add ptr %wordp, i32 1 seq_cst
  call void @wake(ptr %wordp, i32 %count)
  ret void
}

; Find the CPUs this thread may use; binding is off (-2) unless there is one for every worker besides the caller's.
define internal void @find_cpus(ptr %p, i32 %workers) nounwind {
entry:
  %lastp = getelementptr i8, ptr %p, i64 $last_cpu
  %allowed = getelementptr i8, ptr %p, i64 $allowed
  %r = call i32 @sched_getaffinity(i32 0, i64 128, ptr %allowed)
  br label %count
count:
  %i = phi i64 [ 0, %entry ], [ %i1, %count ]
  %c = phi i64 [ 0, %entry ], [ %c1, %count ]
  %wp = getelementptr i64, ptr %allowed, i64 %i
  %bits = load i64, ptr %wp
  %ones = call i64 @llvm.ctpop.i64(i64 %bits)
  %c1 = add i64 %c, %ones
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, 16
  br i1 %more, label %count, label %decide
decide:
  %c32 = trunc i64 %c1 to i32
  %enough = icmp sgt i32 %c32, %workers
  %ok = icmp sge i32 %r, 0
  %both = and i1 %enough, %ok
  %start = select i1 %both, i64 -1, i64 -2
  store i64 %start, ptr %lastp
  ret void
}
"""

_WAKE_PLAIN = """
define internal void @wake_workers(ptr %p, i32 %count) nounwind {
  %wordp = getelementptr i8, ptr %p, i64 $wakeword
  %o = atomicrmw add ptr %wordp, i32 1 seq_cst
  call void @wake(ptr %wordp, i32 %count)
  ret void
}
define internal void @find_cpus(ptr %p, i32 %workers) nounwind {
  ret void
}
"""

_START = """
; Make the wanted workers; they get no signals but those of faults. The caller is busy, so nobody else is here.
define internal void @start_workers(ptr %p) nounwind noinline {
entry:
  %workersp = getelementptr i8, ptr %p, i64 $workers
  %wantedp = getelementptr i8, ptr %p, i64 $wanted
  %handles = getelementptr i8, ptr %p, i64 $handles
  %signals = getelementptr i8, ptr %p, i64 $signals
  %olds = getelementptr i8, ptr %p, i64 $old_signals
  %attributes = alloca [128 x i8], align 16
  %wanted = load i32, ptr %wantedp
  call void @find_cpus(ptr %p, i32 %wanted)
  %a0 = call i32 @pthread_attr_init(ptr %attributes)
  %a1 = call i32 @pthread_attr_setstacksize(ptr %attributes, i64 $STACK)
  %r0 = call i32 @pthread_sigmask(i32 $SET_MASK, ptr %signals, ptr %olds)
  br label %each
each:
  %i = phi i32 [ 0, %entry ], [ %i1, %made ]
  %more = icmp slt i32 %i, %wanted
  br i1 %more, label %make, label %end
make:
  %i64v = sext i32 %i to i64
  %hp = getelementptr i64, ptr %handles, i64 %i64v
  %r = call i32 @pthread_create(ptr %hp, ptr %attributes, ptr @worker, ptr %p)
  %good = icmp eq i32 %r, 0
  br i1 %good, label %made, label %end
made:
  %i1 = add i32 %i, 1
  br label %each
end:
  store atomic i32 %i, ptr %workersp seq_cst, align 4
  store atomic i32 %i, ptr %wantedp seq_cst, align 4
  %r1 = call i32 @pthread_sigmask(i32 $SET_MASK, ptr %olds, ptr null)
  %a2 = call i32 @pthread_attr_destroy(ptr %attributes)
  ret void
}

; Become the only caller of the pool: true if it was free.
define i1 @acquire(ptr %p) nounwind {
  %busyp = getelementptr i8, ptr %p, i64 $busy
  %cas = cmpxchg ptr %busyp, i32 0, i32 1 seq_cst seq_cst
  %ok = extractvalue { i32, i1 } %cas, 1
  ret i1 %ok
}

; End all workers, set the number wanted from now on, free the pool. The caller has acquired it.
define void @stop_workers(ptr %p, i32 %wanted) nounwind {
entry:
  %busyp = getelementptr i8, ptr %p, i64 $busy
  %stopp = getelementptr i8, ptr %p, i64 $stop
  %workersp = getelementptr i8, ptr %p, i64 $workers
  %wantedp = getelementptr i8, ptr %p, i64 $wanted
  %arrp = getelementptr i8, ptr %p, i64 $arrived
  %wordp = getelementptr i8, ptr %p, i64 $wakeword
  %handles = getelementptr i8, ptr %p, i64 $handles
  %n = load i32, ptr %workersp
  store atomic i32 1, ptr %stopp seq_cst, align 4
  %o = atomicrmw add ptr %wordp, i32 1 seq_cst
  call void @wake(ptr %wordp, i32 1000)
  br label %each
each:
  %i = phi i32 [ 0, %entry ], [ %i1, %join ]
  %more = icmp slt i32 %i, %n
  br i1 %more, label %join, label %end
join:
  %i64v = sext i32 %i to i64
  %hp = getelementptr i64, ptr %handles, i64 %i64v
  %h = load i64, ptr %hp
  %r = call i32 @pthread_join(i64 %h, ptr null)
  %i1 = add i32 %i, 1
  br label %each
end:
  store atomic i32 0, ptr %stopp seq_cst, align 4
  store atomic i32 0, ptr %arrp seq_cst, align 4
  store atomic i32 0, ptr %workersp seq_cst, align 4
  store atomic i32 %wanted, ptr %wantedp seq_cst, align 4
  store atomic i32 0, ptr %busyp seq_cst, align 4
  ret void
}
"""

_PARALLEL = """
; Run all tasks of one launch: here alone if it is small, serial, nested or concurrent, else together with the workers.
define void @parallel_for(ptr %p, ptr %fn, ptr %tab, ptr %sta, i64 %nt, i64 %mode) nounwind {
entry:
  %fnp = getelementptr i8, ptr %p, i64 $fn
  %tabp = getelementptr i8, ptr %p, i64 $table
  %stap = getelementptr i8, ptr %p, i64 $static
  %ntp = getelementptr i8, ptr %p, i64 $tasks
  %donep = getelementptr i8, ptr %p, i64 $done
  %waitp = getelementptr i8, ptr %p, i64 $waiting
  %sleepp = getelementptr i8, ptr %p, i64 $sleepers
  %busyp = getelementptr i8, ptr %p, i64 $busy
  %workersp = getelementptr i8, ptr %p, i64 $workers
  %wantedp = getelementptr i8, ptr %p, i64 $wanted
  %spinp = getelementptr i8, ptr %p, i64 $spin
  %one = icmp sle i64 %nt, 1
  %alone = trunc i64 %mode to i1
  %small = or i1 %one, %alone
  br i1 %small, label %serial, label %threads
threads:
  %wanted = load atomic i32, ptr %wantedp monotonic, align 4
  %nowork = icmp eq i32 %wanted, 0
  br i1 %nowork, label %serial, label %claim
claim:
  %mine = call i1 @acquire(ptr %p)
  br i1 %mine, label %begin, label %serial
serial:
  %i = phi i64 [ 0, %entry ], [ 0, %threads ], [ 0, %claim ], [ %i1, %each ]
  %more = icmp slt i64 %i, %nt
  br i1 %more, label %each, label %ret
each:
  call void %fn(ptr %tab, ptr %sta, i64 %i)
  %i1 = add i64 %i, 1
  br label %serial
begin:
  %workers = load i32, ptr %workersp
  %have = icmp ne i32 %workers, 0
  br i1 %have, label %publish, label %start
start:
  call void @start_workers(ptr %p)
  br label %publish
publish:
  store atomic ptr %fn, ptr %fnp monotonic, align 8
  store atomic ptr %tab, ptr %tabp monotonic, align 8
  store atomic ptr %sta, ptr %stap monotonic, align 8
  store atomic i64 %nt, ptr %ntp monotonic, align 8
  store atomic i32 0, ptr %donep monotonic, align 4
  store atomic i32 0, ptr %waitp monotonic, align 4
  %w = load atomic i64, ptr %p monotonic, align 8
  %g = lshr i64 %w, 32
  %g1 = add i64 %g, 1
  %g2 = shl i64 %g1, 32
  %job = or i64 %g2, %nt
  store atomic i64 %job, ptr %p seq_cst, align 8
  %asleep = load atomic i32, ptr %sleepp seq_cst, align 4
  %any = icmp sgt i32 %asleep, 0
  %quiet = and i64 %mode, 2
  %loud = icmp eq i64 %quiet, 0
  %ring = and i1 %any, %loud
  br i1 %ring, label %wakeup, label %work
wakeup:
  %others = sub i64 %nt, 1
  %others32 = trunc i64 %others to i32
  %fewer = icmp slt i32 %others32, %asleep
  %count = select i1 %fewer, i32 %others32, i32 %asleep
  call void @wake_workers(ptr %p, i32 %count)
  br label %work
work:
  call void @take_tasks(ptr %p)
  %nt32 = trunc i64 %nt to i32
  %limit = load i64, ptr %spinp
  %t0 = call i64 @now()
  br label %spin
spin:
  %n = phi i32 [ 0, %work ], [ %n1, %pause ], [ 0, %clock ]
  %d = load atomic i32, ptr %donep seq_cst, align 4
  %all = icmp eq i32 %d, %nt32
  br i1 %all, label %fin, label %pause
pause:
  $PAUSE
  %n1 = add i32 %n, 1
  %again = icmp slt i32 %n1, 16
  br i1 %again, label %spin, label %clock
clock:
  %t = call i64 @now()
  %spent = sub i64 %t, %t0
  %on = icmp slt i64 %spent, %limit
  br i1 %on, label %spin, label %sleep
sleep:
  store atomic i32 1, ptr %waitp seq_cst, align 4
  br label %asleep1
asleep1:
  %d2 = load atomic i32, ptr %donep seq_cst, align 4
  %all2 = icmp eq i32 %d2, %nt32
  br i1 %all2, label %fin, label %parked
parked:
  call void @park(ptr %donep, i32 %d2)
  br label %asleep1
fin:
  store atomic i32 0, ptr %busyp seq_cst, align 4
  br label %ret
ret:
  ret void
}
"""


def rows():
    """(System, Processor) of this machine. NotImplementedError on one without a row in platform.py."""
    found = platform.rows()
    if found is None:
        raise NotImplementedError("the CPU runtime has no row for this system in runtime/cpu/platform.py")
    return found


def text():
    """The IR text for this machine. NotImplementedError on one without a row in platform.py."""
    system, processor = rows()
    numbers = {"FUTEX": processor.futex, "GETTID": processor.gettid}
    values = {
        "DECLARATIONS": system.declarations,
        "PAUSE_DECLARATION": processor.declarations,
        "PAUSE": processor.pause,
        "PARK": string.Template(system.park).substitute(numbers),
        "WAKE": string.Template(system.wake).substitute(numbers),
        "THREAD_ID": string.Template(system.thread_id).substitute(numbers),
        "CLOCK": system.monotonic_clock,
        "STACK": STACK,
        "SET_MASK": system.set_mask,
        "BYTES": STATE_BYTES,
        **OFFSETS,
    }
    parts = (_HEAD, _TASKS, _WAKE_BOUND if system.affinity else _WAKE_PLAIN, _START, _PARALLEL, EXECUTOR, BOUNDS)
    return string.Template("".join(parts)).substitute(values) + (native_record.text(PYTHON) if records() else "")


@functools.cache
def records():
    """Whether this interpreter has the functions that record operators."""
    return native_writer.supported()


def symbols():
    """The names of the functions in `text()`."""
    return (*SYMBOLS, *(("record_place", *native_record.FUNCTIONS) if records() else ()))


def python_names():
    """The functions of the interpreter that `text()` calls."""
    return (*PYTHON, *(native_writer.PYTHON if records() else ()))
