"""Chains of ordered steps, shared by the tasks of a launch.

In: `count` chains of equally many steps, none of which depends on another chain. Out: a loop over stretches of them.

Note [Chains]
One task per chain is the obvious way, and a poor one where there are about as many chains as threads: the task on the
slower core, or on one shared with another program, keeps all others waiting. So a task takes a stretch of the chain
that is furthest behind and not in another task's hands, then the next; when none is free, it ends. All chains end at
about the same time, and no task waits for another. What goes from one stretch to the next lies in memory. Which task
computes a stretch changes nothing in the results. The chains of even number come before the others: those that are
computed at the same time are then not neighbours in memory, where one core would prefetch what the other writes.

A chain has a word in a cache line of its own, in this order: twice the steps done, plus 1 while a task is at it.
"""

import contextlib

from ...ir.builder import LINE
from ...ir.kernel import KernelSource, Launch, Memory, Scratch
from ...ir.statics import StaticLayout, kernel

LAYOUT = StaticLayout("@words", "nbytes")


@contextlib.contextmanager
def stretches(fn, words, count, steps, longest):
    """The loop of one task: yields (chain, first step, step after the last) of stretches of up to `longest` steps.
    `words`: the address of the chains' words."""
    chain, word = fn.variable("i64"), fn.variable("i64")
    one = fn.constant(1)

    def take():
        again = fn.variable("i1", 1)
        with fn.while_(again.get):
            chain.set(-1)
            word.set(steps * 2)
            with fn.loop(0, count) as number:
                found = fn.emit("i64", f"load atomic i64, ptr {fn.gep(words, number * LINE).name} monotonic, align 8")
                with fn.if_((found & one).eq(0) & (found < word.get())):
                    chain.set(number)
                    word.set(found)
            again.set(0)
            with fn.if_(chain.get() >= 0):
                free = word.get()
                place = fn.gep(words, chain.get() * LINE)
                pair = fn.emit("{ i64, i1 }", f"cmpxchg ptr {place.name}, i64 {free.name}, i64 {(free | one).name} "
                                              "acquire monotonic, align 8")
                again.set(fn.emit("i1", f"extractvalue {{ i64, i1 }} {pair.name}, 1").eq(0))
        return chain.get() >= 0

    with fn.while_(take):
        start = word.get() >> one
        stop = fn.minimum(start + longest, steps)
        number, half = chain.get(), (count + 1) // 2
        yield fn.select(number < half, number * 2, (number - half) * 2 + 1), start, stop
        place = fn.gep(words, chain.get() * LINE)
        fn.line(f"store atomic i64 {(stop * 2).name}, ptr {place.name} release, align 8")


def _emit_begin(module, name):
    fn = kernel(module, name)
    s = LAYOUT.open(fn)
    fn.zero(s.words, s.nbytes)
    fn.ret()


def plan_words(count, launches):
    """The memory of the words of `count` chains; adds the launch that says that nothing is done yet."""
    words = Memory(Scratch(count * LINE))
    static = LAYOUT.values(words=words, nbytes=count * LINE)
    launches.append(Launch(KernelSource(("chains",), _emit_begin), static, 1, 50.0, (), (words,)))
    return words
