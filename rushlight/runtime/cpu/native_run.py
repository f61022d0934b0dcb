"""The native code that works through launches, and the functions that Python calls, as LLVM IR text.

`native.text()` puts it behind the thread pool, whose offsets stand in it as `$name`. Read `executor` for the callers.
"""

EXECUTOR = """
; A launch of one kernel over many static blocks: %batch = {fn, n, n static blocks, n + 1 sums of task counts}.
define void @batch_task(ptr %tab, ptr %batch, i64 %task) nounwind {
entry:
  %fn = load ptr, ptr %batch
  %np = getelementptr i64, ptr %batch, i64 1
  %n = load i64, ptr %np
  %blocks = getelementptr i64, ptr %batch, i64 2
  %sums = getelementptr i64, ptr %blocks, i64 %n
  br label %search
search:
  %lo = phi i64 [ 0, %entry ], [ %lo1, %step ]
  %hi = phi i64 [ %n, %entry ], [ %hi1, %step ]
  %width = sub i64 %hi, %lo
  %found = icmp sle i64 %width, 1
  br i1 %found, label %call, label %step
step:
  %half = lshr i64 %width, 1
  %mid = add i64 %lo, %half
  %mp = getelementptr i64, ptr %sums, i64 %mid
  %first = load i64, ptr %mp
  %right = icmp sge i64 %task, %first
  %lo1 = select i1 %right, i64 %mid, i64 %lo
  %hi1 = select i1 %right, i64 %hi, i64 %mid
  br label %search
call:
  %sp = getelementptr i64, ptr %blocks, i64 %lo
  %sta = load ptr, ptr %sp
  %fp = getelementptr i64, ptr %sums, i64 %lo
  %from = load i64, ptr %fp
  %local = sub i64 %task, %from
  tail call void %fn(ptr %tab, ptr %sta, i64 %local)
  ret void
}

; Run a program {records, count, wake, word}; its error word. Launches end at the first that sets the error word. The
; number of completed launches stands in the word `word` before the table (0: nowhere), and a run starts there. Past the
; time `deadline` (0: none) it returns -1 between two launches.
define i64 @run_program(ptr %program, ptr %tab, i64 %deadline) nounwind {
entry:
  %p = getelementptr i8, ptr @pool, i64 0
  %own = alloca i64
  store i64 0, ptr %own
  store i64 0, ptr %tab
  %wp = getelementptr i64, ptr %program, i64 3
  %word = load i64, ptr %wp
  %back = sub i64 0, %word
  %before = getelementptr i64, ptr %tab, i64 %back
  %nowhere = icmp eq i64 %word, 0
  %progress = select i1 %nowhere, ptr %own, ptr %before
  %begin = load i64, ptr %progress
  %timed = icmp ne i64 %deadline, 0
  %recs = load ptr, ptr %program
  %cp = getelementptr i64, ptr %program, i64 1
  %count = load i64, ptr %cp
  %ep = getelementptr i64, ptr %program, i64 2
  %early = load i64, ptr %ep
  %ahead = icmp ne i64 %early, 0
  br i1 %ahead, label %look, label %next
look:
  %sleepp = getelementptr i8, ptr %p, i64 $sleepers
  %asleep = load atomic i32, ptr %sleepp seq_cst, align 4
  %any = icmp sgt i32 %asleep, 0
  br i1 %any, label %ring, label %next
ring:
  %free = call i1 @acquire(ptr %p)
  br i1 %free, label %rouse, label %next
rouse:
  call void @wake_workers(ptr %p, i32 %asleep)
  %busyp = getelementptr i8, ptr %p, i64 $busy
  store atomic i32 0, ptr %busyp seq_cst, align 4
  br label %next
next:
  %i = phi i64 [ %begin, %entry ], [ %begin, %look ], [ %begin, %ring ], [ %begin, %rouse ], [ %i1, %done ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %time, label %end
time:
  br i1 %timed, label %compare, label %launch
compare:
  %now = call i64 @now()
  %late = icmp sgt i64 %now, %deadline
  br i1 %late, label %pause, label %launch
pause:
  ret i64 -1
launch:
  %at = shl i64 %i, 2
  %rp = getelementptr i64, ptr %recs, i64 %at
  %fn = load ptr, ptr %rp
  %sp = getelementptr i64, ptr %rp, i64 1
  %sta = load ptr, ptr %sp
  %tp = getelementptr i64, ptr %rp, i64 2
  %tasks = load i64, ptr %tp
  %one = icmp eq i64 %tasks, 1
  br i1 %one, label %direct, label %many
direct:
  call void %fn(ptr %tab, ptr %sta, i64 0)
  br label %join
many:
  %mp = getelementptr i64, ptr %rp, i64 3
  %mode = load i64, ptr %mp
  call void @parallel_for(ptr %p, ptr %fn, ptr %tab, ptr %sta, i64 %tasks, i64 %mode)
  br label %join
join:
  %error = load i64, ptr %tab
  %good = icmp eq i64 %error, 0
  br i1 %good, label %done, label %failed
done:
  %i1 = add i64 %i, 1
  store i64 %i1, ptr %progress
  br label %next
failed:
  ret i64 %error
end:
  ret i64 0
}

; Run a queue {entries, entries done, address of the next one (0: the first), then for each entry: program, words of
; its table, table} in order, from where it stopped; 0 at the end, or the number, counted from 1, of the entry whose
; table holds an error word. Past the time `deadline` (0: none) it returns -1 between two entries.
define i64 @run_queue(ptr %queue, i64 %deadline) nounwind {
entry:
  %count = load i64, ptr %queue
  %donep = getelementptr i64, ptr %queue, i64 1
  %placep = getelementptr i64, ptr %queue, i64 2
  %first = getelementptr i64, ptr %queue, i64 3
  %begin = load i64, ptr %donep
  %place = load ptr, ptr %placep
  %anew = icmp eq ptr %place, null
  %start = select i1 %anew, ptr %first, ptr %place
  %timed = icmp ne i64 %deadline, 0
  br label %next
next:
  %i = phi i64 [ %begin, %entry ], [ %i1, %done ]
  %at = phi ptr [ %start, %entry ], [ %after, %done ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %time, label %end
time:
  br i1 %timed, label %compare, label %run
compare:
  %now = call i64 @now()
  %late = icmp sgt i64 %now, %deadline
  br i1 %late, label %pause, label %run
pause:
  ret i64 -1
run:
  %i1 = add i64 %i, 1
  %program = load ptr, ptr %at
  %wp = getelementptr i64, ptr %at, i64 1
  %words = load i64, ptr %wp
  %tab = getelementptr i64, ptr %at, i64 2
  %after = getelementptr i64, ptr %tab, i64 %words
  %error = call i64 @run_program(ptr %program, ptr %tab, i64 0)
  %good = icmp eq i64 %error, 0
  br i1 %good, label %done, label %bad
done:
  store i64 %i1, ptr %donep
  store ptr %after, ptr %placep
  br label %next
bad:
  ret i64 %i1
end:
  ret i64 0
}

; Python methods: the argument is the address of a queue.
define ptr @py_run_queue(ptr %self, ptr %arg) nounwind {
entry:
  %queue = call ptr @PyLong_AsVoidPtr(ptr %arg)
  %bad = icmp eq ptr %queue, null
  br i1 %bad, label %fail, label %run
fail:
  ret ptr null
run:
  %error = call i64 @run_queue(ptr %queue, i64 0)
  %result = call ptr @PyLong_FromLongLong(i64 %error)
  ret ptr %result
}
define ptr @py_run_queue_released(ptr %self, ptr %arg) nounwind {
entry:
  %queue = call ptr @PyLong_AsVoidPtr(ptr %arg)
  %bad = icmp eq ptr %queue, null
  br i1 %bad, label %fail, label %again
fail:
  ret ptr null
again:
  %thread = call ptr @PyEval_SaveThread()
  %now = call i64 @now()
  %deadline = add i64 %now, 50000000
  %error = call i64 @run_queue(ptr %queue, i64 %deadline)
  call void @PyEval_RestoreThread(ptr %thread)
  %paused = icmp eq i64 %error, -1
  br i1 %paused, label %signals, label %ended
signals:
  %raised = call i32 @PyErr_CheckSignals()
  %stop = icmp ne i32 %raised, 0
  br i1 %stop, label %fail, label %again
ended:
  %result = call ptr @PyLong_FromLongLong(i64 %error)
  ret ptr %result
}

; Python methods: self is the address of a program, the argument that of a table, the result the error word.
define ptr @py_run(ptr %self, ptr %arg) nounwind {
entry:
  %program = call ptr @PyLong_AsVoidPtr(ptr %self)
  %tab = call ptr @PyLong_AsVoidPtr(ptr %arg)
  %bad = icmp eq ptr %tab, null
  br i1 %bad, label %fail, label %run
fail:
  ret ptr null
run:
  %error = call i64 @run_program(ptr %program, ptr %tab, i64 0)
  %result = call ptr @PyLong_FromLongLong(i64 %error)
  ret ptr %result
}
define ptr @py_run_released(ptr %self, ptr %arg) nounwind {
entry:
  %program = call ptr @PyLong_AsVoidPtr(ptr %self)
  %tab = call ptr @PyLong_AsVoidPtr(ptr %arg)
  %bad = icmp eq ptr %tab, null
  br i1 %bad, label %fail, label %run
fail:
  ret ptr null
run:
  %wp = getelementptr i64, ptr %program, i64 3
  %word = load i64, ptr %wp
  %resumes = icmp ne i64 %word, 0
  br label %again
again:
  %thread = call ptr @PyEval_SaveThread()
  %now = call i64 @now()
  %later = add i64 %now, 50000000
  %deadline = select i1 %resumes, i64 %later, i64 0
  %error = call i64 @run_program(ptr %program, ptr %tab, i64 %deadline)
  call void @PyEval_RestoreThread(ptr %thread)
  %paused = icmp eq i64 %error, -1
  br i1 %paused, label %signals, label %ended
signals:
  %raised = call i32 @PyErr_CheckSignals()
  %stop = icmp ne i32 %raised, 0
  br i1 %stop, label %fail, label %again
ended:
  %result = call ptr @PyLong_FromLongLong(i64 %error)
  ret ptr %result
}
"""

BOUNDS = """
; The first of `count` integers of `size` bytes (1: unsigned), `step` bytes apart, that is neither `skip` nor within
; low <= value < high: its number, or -1.
define internal i64 @outside(ptr %data, i64 %count, i64 %step, i64 %size, i64 %low, i64 %high, i64 %skip) nounwind {
entry:
  %span = sub i64 %high, %low
  br label %next
next:
  %i = phi i64 [ 0, %entry ], [ %i1, %fine ], [ %i1, %check ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %look, label %good
look:
  %i1 = add i64 %i, 1
  %offset = mul i64 %i, %step
  %p = getelementptr i8, ptr %data, i64 %offset
  switch i64 %size, label %wide [ i64 1, label %byte
                                  i64 4, label %half ]
byte:
  %b = load i8, ptr %p
  %b64 = zext i8 %b to i64
  br label %test
half:
  %h = load i32, ptr %p, align 4
  %h64 = sext i32 %h to i64
  br label %test
wide:
  %w = load i64, ptr %p, align 8
  br label %test
test:
  %value = phi i64 [ %b64, %byte ], [ %h64, %half ], [ %w, %wide ]
  %above = sub i64 %value, %low
  %fits = icmp ult i64 %above, %span
  br i1 %fits, label %fine, label %check
fine:
  br label %next
check:
  %skipped = icmp eq i64 %value, %skip
  br i1 %skipped, label %next, label %bad
bad:
  ret i64 %i
good:
  ret i64 -1
}

; A Python function of seven integers (METH_FASTCALL).
define ptr @py_outside(ptr %self, ptr %args, i64 %n) nounwind {
entry:
  %data = call i64 @argument(ptr %args, i64 0)
  %count = call i64 @argument(ptr %args, i64 1)
  %step = call i64 @argument(ptr %args, i64 2)
  %size = call i64 @argument(ptr %args, i64 3)
  %low = call i64 @argument(ptr %args, i64 4)
  %high = call i64 @argument(ptr %args, i64 5)
  %skip = call i64 @argument(ptr %args, i64 6)
  %pointer = inttoptr i64 %data to ptr
  %found = call i64 @outside(ptr %pointer, i64 %count, i64 %step, i64 %size, i64 %low, i64 %high, i64 %skip)
  %result = call ptr @PyLong_FromLongLong(i64 %found)
  ret ptr %result
}
define internal i64 @argument(ptr %args, i64 %i) nounwind {
  %p = getelementptr ptr, ptr %args, i64 %i
  %object = load ptr, ptr %p
  %value = call i64 @PyLong_AsLongLong(ptr %object)
  ret i64 %value
}
"""
