"""What is left: each family of kernels beside what this machine can do: `python benchmarks/roofline.py`.

Two ceilings stand beside them: the bandwidth of a copy far larger than the caches (bytes read plus bytes written, by
Rushlight or by NumPy, whichever is faster), and float32 multiply-adds per second, from a kernel that does nothing else
and is shared out to the threads as any other. A case's work is the least that it needs: every operand read once, every
result written once, or the products of its formula, those with padding included. Case and ceiling run in turns; the
share of the ceiling is the ratio of their medians, so that another program on the machine disturbs both alike. `<`
marks what is below its goal. If the ceilings moved between the cases, the last line says so.

Shares above 100 % are no error. Reading is cheaper than copying, so reductions can pass the copy; the copy is not
always done in the best way; and parameters of an optimizer may fit into a large cache.

Rushlight never computes what nobody reads. So a step returns everything it made, the results are kept while the clock
runs, and every step ends with a flush.
"""

import argparse
import math
import pathlib
import re
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import numpy as np

import rushlight as rl
from rushlight.codegen.ir.statics import kernel, repeat
from rushlight.codegen.ir.kernel import KernelSource
from rushlight.runtime.cpu import cpuinfo, jit
from rushlight.runtime.cpu.program import Program

F = rl.nn.functional
COPY, PRODUCTS = "GB/s", "GFLOP/s"  # the two ceilings, by their units
GOALS = {"element-wise": 0.80, "reductions": 0.80, "large GEMM": 0.85, "convolutions": 0.70}
FEWEST, MOST = 3, 200  # repetitions of a case
CHAINS = 24 if cpuinfo.vector_registers() == 32 else 12  # independent sums of the ceiling of products, in registers
ROUNDS = 1 << 17  # multiply-adds of each in a task
STEADY = 0.1  # what ceilings may move without a warning
WARM = 3  # steps before the clock runs: a loop is known from its third step on


def bytes_of(*tensors):
    """How many bytes these tensors have together."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def numbers(*shape):
    """A tensor of this shape with normal numbers; a large one repeats a block of them."""
    count = math.prod(shape)
    block = rl.randn(min(count, 1 << 20))
    return block.repeat(-(-count // len(block)))[:count].view(*shape).contiguous()


# -- ceilings ----------------------------------------------------------------------------------------------------------


def timed(step):
    """Seconds of step() with a flush after it; its results live until the clock has stopped."""
    began = time.perf_counter()
    kept = step()
    rl.synchronize()
    seconds = time.perf_counter() - began
    del kept
    return seconds


def in_turns(steps, budget):
    """The median seconds of each of the steps, taken in turns for about `budget` seconds of each."""
    for step in steps:
        for _ in range(WARM):
            timed(step)
    times = [[] for _ in steps]
    while len(times[0]) < FEWEST or (sum(times[-1]) < budget and len(times[0]) < MOST):
        for step, found in zip(steps, times):
            found.append(timed(step))
    return [statistics.median(found) for found in times]


def copy_ceiling(size):
    """(bytes moved, step) of the faster one of two copies."""
    x = numbers(size // 8)
    y = rl.zeros_like(x)
    a, b = np.ones(len(x), np.float32), np.zeros(len(x), np.float32)
    steps = [lambda: [y.copy_(x)], lambda: np.copyto(b, a)]
    ours, numpy = in_turns(steps, 0.1)
    return bytes_of(x, y), steps[numpy < ours]


def emit_multiply_adds(module, name):
    """Kernel: ROUNDS times as many independent multiply-adds of vectors as keep two units of six cycles busy."""
    fn, lanes = kernel(module, name), cpuinfo.vector_bytes() // 4
    vector = f"<{lanes} x float>"
    sums = [fn.variable(vector, 0) for _ in range(CHAINS)]
    x = fn.load(fn.load_at(fn.args[0], 1, "ptr"), vector, 4)
    with repeat(fn, 0, ROUNDS):
        for total in sums:
            total.set(fn.fma(x, x, total.get()))
    for total in sums[1:]:
        sums[0].set(sums[0].get() + total.get())
    fn.store(sums[0].get(), fn.gep(fn.load_at(fn.args[0], 2, "ptr"), fn.args[2] * (4 * lanes)), 4)
    fn.ret()


def products_ceiling(threads):
    """(multiplications and additions, step) of threads that do nothing else."""
    lanes, tasks = cpuinfo.vector_bytes() // 4, 4 * threads
    source = KernelSource(("multiply_adds", lanes, CHAINS, ROUNDS), emit_multiply_adds)
    operands = np.full(lanes, 0.5, np.float32), np.zeros(tasks * lanes, np.float32)
    table = np.array([0, *(operand.ctypes.data for operand in operands)], np.int64)
    run = Program([(jit.compile_kernels([source])[source.key], [0], tasks, 1e6)]).run

    def step():
        run(table.ctypes.data)
        return operands
    return 2 * lanes * CHAINS * ROUNDS * tasks, step


# -- cases -------------------------------------------------------------------------------------------------------------
# A case is a function of the bytes that a case bound by memory moves. It returns (work in bytes or products, step).


def flat(f):
    """A function of one large tensor, read once; the result is written once."""
    def build(size):
        x = numbers(size // 8)
        return 2 * bytes_of(x), lambda: [f(x)]
    return build


def in_pieces(f):
    """The same by pieces of 16 MiB with a flush after each: the stream holds back only so many bytes of results."""
    def build(size):
        x = numbers(size // 8)
        pieces = x.split(1 << 22)

        def step():
            results = []
            for piece in pieces:
                results.append(f(piece))
                rl.synchronize()
            return results
        return 2 * bytes_of(x), step
    return build


def chain(x):
    """A chain of element-wise operators with a choice in it."""
    return rl.where(x > 0, x * 2 + 1, x * 0.01).clamp(-1, 1)


def add(size):
    """Two tensors, one result."""
    x, y = numbers(size // 12), numbers(size // 12)
    return 3 * bytes_of(x), lambda: [x + y]


def rows(f, streams):
    """A function of rows of 1024; `streams` is 1 where the result is small, else 2."""
    def build(size):
        x = numbers(max(1, size // (4096 * streams)), 1024)
        return bytes_of(x, f(x)), lambda: [f(x)]
    return build


def layer_norm(size):
    """Normalised rows of 1024 with weight and bias."""
    x, weight, bias = numbers(max(1, size // 8192), 1024), rl.ones(1024), rl.zeros(1024)
    return bytes_of(x, x, weight, bias), lambda: [F.layer_norm(x, (1024,), weight, bias)]


def transposed(size):
    """A square matrix, copied across."""
    side = max(1, math.isqrt(size // 8) // 64) * 64
    x = numbers(side, side)
    return 2 * bytes_of(x), lambda: [x.t().contiguous()]


def product(m, k, n):
    """A matrix product."""
    def build(_):
        a, b = numbers(m, k), numbers(k, n)
        return 2 * m * k * n, lambda: [a @ b]
    return build


def convolution(batch, inputs, outputs, side, kernel, part):
    """A convolution that keeps the side; part: "forward", or which gradient, "input" or "weight"."""
    def build(_):
        x, weight = numbers(batch, inputs, side, side), numbers(outputs, inputs, kernel, kernel)
        work = 2 * batch * side * side * outputs * inputs * kernel * kernel
        if part == "forward":
            return work, lambda: [F.conv2d(x, weight, padding=kernel // 2)]
        wanted = (x if part == "input" else weight).requires_grad_()
        y = F.conv2d(x, weight, padding=kernel // 2)
        seed = numbers(*y.shape)
        return work, lambda: rl.autograd.grad(y, wanted, seed, retain_graph=True)
    return build


def attention(_):
    """Four sequences of 512, eight heads of 64: two products."""
    q, k, v = (numbers(4, 8, 512, 64) for _ in range(3))
    return 4 * q.numel() * 512, lambda: [F.scaled_dot_product_attention(q, k, v)]


def update(make, state):
    """An update of ten million parameters with so many tensors of state each."""
    def build(_):
        parameters = [rl.nn.Parameter(numbers(256, 640)) for _ in range(61)]
        for parameter in parameters:
            parameter.grad = numbers(256, 640)
        optimizer = make(parameters)

        def step():
            optimizer.step()
            return parameters
        return bytes_of(*parameters) * (3 + 2 * state), step  # the gradient is read, all else read and written
    return build


def gather(size):
    """Half of the rows of a table, each once, in random order."""
    count = max(1, size // (2 * 256 + 8))
    x, index = numbers(2 * count, 64), rl.randperm(2 * count)[:count]
    return 2 * 256 * count + bytes_of(index), lambda: [x[index]]


def convolutions():
    """{name: build} of the residual networks' convolutions, in both directions."""
    shapes = {"3x3 64 56": (64, 64, 56, 3), "3x3 128 28": (128, 128, 28, 3), "3x3 256 14": (256, 256, 14, 3),
              "3x3 512 7": (512, 512, 7, 3), "1x1 64-256 56": (64, 256, 56, 1)}
    parts = {"": "forward", ", gradient of input": "input", ", gradient of weight": "weight"}
    return {name + after: convolution(8, *shape, part) for name, shape in shapes.items()
            for after, part in parts.items()}


FAMILIES = {
    "element-wise": (COPY, {
        "add": add,
        "gelu": flat(F.gelu),
        "where chain": in_pieces(chain),
        "where chain, whole": flat(chain),
    }),
    "reductions": (COPY, {
        "sum all": rows(rl.sum, 1),
        "mean last axis": rows(lambda x: x.mean(-1), 1),
        "sum first axis": rows(lambda x: x.sum(0), 1),
        "softmax": rows(lambda x: x.softmax(-1), 2),
        "layer_norm": layer_norm,
    }),
    "transposed copy": (COPY, {"square": transposed}),
    "large GEMM": (PRODUCTS, {f"{n}x{n}x{n}": product(n, n, n) for n in (512, 1024, 2048)}),
    "skinny GEMM": (PRODUCTS, {"64x784x512": product(64, 784, 512), "4096x64x64": product(4096, 64, 64)}),
    "convolutions": (PRODUCTS, convolutions()),
    "attention": (PRODUCTS, {"forward": attention}),
    "optimizers": (COPY, {
        "SGD momentum 10M": update(lambda p: rl.optim.SGD(p, lr=1e-3, momentum=0.9), 1),
        "Adam 10M": update(rl.optim.Adam, 2),
    }),
    "gather": (COPY, {"rows of 64": gather}),
}


# -- the run -----------------------------------------------------------------------------------------------------------


def default_size():
    """Bytes a case bound by memory moves: four times the last cache, but no large part of the memory."""
    return min(max(4 * cpuinfo.cache_sizes()[2], 256 << 20), cpuinfo.memory_bytes() // 8)


def measure(family, unit, name, build, size, ceiling, budget):
    """Time a case beside its ceiling, print its line; (the share, the ceiling in 1e9 a second)."""
    work, step = build(size)
    ceiling_work, ceiling_step = ceiling
    seconds, ceiling_seconds = in_turns([step, ceiling_step], budget)
    achieved, top = work / seconds / 1e9, ceiling_work / ceiling_seconds / 1e9
    share, goal = achieved / top, GOALS.get(family)
    mark = "" if goal is None else f"{goal:9.0%}" + (" <" if share < goal else "")
    print(f"{family + '/' + name:46s} {seconds * 1e3:10.3f} ms {achieved:8.1f} {top:8.1f} {unit:7s} {share:9.1%}{mark}",
          flush=True)
    return share, top


def chosen(pattern):
    """The cases whose "family/name" the regular expression finds: a list of (family, unit, name, build)."""
    every = [(family, unit, name, build) for family, (unit, cases) in FAMILIES.items() for name, build in cases.items()]
    return [case for case in every if re.search(pattern, f"{case[0]}/{case[2]}")]


def summary(shares):
    """Print of each family the case that is furthest from its ceiling; shares: {family: {name: share}}."""
    print("\nfurthest from the ceiling:")
    for family, found in shares.items():
        worst = min(found, key=found.get)
        mean = statistics.geometric_mean(found.values())
        print(f"  {family:18s} {worst}: {found[worst]:.1%} (geometric mean of {len(found)}: {mean:.1%})")


def main(arguments=None):
    """Measure what the command line asks for; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=rl.get_num_threads())
    parser.add_argument("--only", default="", metavar="REGEX", help="cases by family/name")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long a case is repeated")
    parser.add_argument("--size", type=int, default=default_size() >> 20, metavar="MIB",
                        help="what a case bound by memory moves; four times the last cache if not given")
    options = parser.parse_args(arguments)
    cases = chosen(options.only)
    if not cases or options.threads < 1 or options.size < 1:
        parser.error(f"no case is called {options.only!r}" if not cases else "--threads and --size begin at 1")
    rl.set_num_threads(options.threads)
    rl.manual_seed(0)
    size = options.size << 20
    ceilings = {COPY: copy_ceiling(size), PRODUCTS: products_ceiling(options.threads)}
    print(f"{options.threads} threads, {cpuinfo.vector_bytes()}-byte vectors, {options.size} MiB\n\n"
          f"{'':46s} {'a step':>13s} {'achieved':>8s} {'ceiling':>8s} {'':7s} {'share':>9s} {'goal':>8s}")
    shares, tops = {}, {COPY: [], PRODUCTS: []}
    for family, unit, name, build in cases:
        share, top = measure(family, unit, name, build, size, ceilings[unit], options.seconds)
        shares.setdefault(family, {})[name] = share
        tops[unit].append(top)
    summary(shares)
    for unit, found in tops.items():
        if found and max(found) > min(found) * (1 + STEADY):
            print(f"something else uses this machine: the ceiling was {min(found):.1f} to {max(found):.1f} {unit}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
