"""How training grows to thousands of ranks: `python benchmarks/scale.py`. The figures of docs/distributed.md.

DistributedDataParallel, fully_shard and the planning of checkpoints run as they are, in one process, over a network
whose time is computed (rushlight/distributed/simulated.py). Seconds of computation are operations / TFLOPS.
"""
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from rushlight import alias  # noqa: E402

alias.install()
import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from torch import nn  # noqa: E402
from torch.distributed import simulated  # noqa: E402
from torch.distributed.checkpoint import saving  # noqa: E402
from torch.distributed.fsdp import fully_shard  # noqa: E402
from torch.distributed.tensor import Rows  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

WIDTH, LAYERS, VOCABULARY = 512, 8, 32000
TOKENS, TFLOPS = 8192, 100  # tokens a rank and step; speed of a rank
RANKS = (8, 64, 512, 4096)


class Block(nn.Module):
    """A transformer layer."""

    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (8, -1)).transpose(1, 2) for part in self.qkv(self.norms[0](x)).chunk(3, -1))
        x = x + self.out(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.down(nn.functional.gelu(self.up(self.norms[1](x))))


def network():
    """41 million parameters."""
    return nn.Sequential(*[Block() for _ in range(LAYERS)], nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY))


def step(ranks, wrap, **options):
    """(virtual seconds of a training step, those of its computation) of the second step."""
    clock = simulated.start(ranks, simulated.Network(**options))
    try:
        model = network()
        simulated.count_time(model, clock, TOKENS, TFLOPS * 1e12)
        model = wrap(model)
        for _ in range(2):
            began, computed = clock.now, clock.computed
            model(torch.randn(1, 4, WIDTH)).sum().backward()
        return clock.now - began, clock.computed - computed
    finally:
        dist.destroy_process_group()


def data_parallel(bucket):
    """A function that wraps a model in DistributedDataParallel."""
    return lambda model: DistributedDataParallel(model, bucket_cap_mb=bucket)


def sharded(shards=None):
    """A function that applies fully_shard to every layer and the whole; `shards`: that many, with replicas of them."""
    def wrap(model):
        mesh = shards and dist.init_device_mesh("cpu", (dist.get_world_size() // shards, shards))
        for block in model[:LAYERS]:
            fully_shard(block, mesh=mesh)
        return fully_shard(model, mesh=mesh)
    return wrap


def table(title, names, function):
    """Print a Markdown table: share of the step that is computation, by ranks."""
    print(f"\n{title}\n\n| ranks | " + " | ".join(map(str, names)) + " |\n|" + "---:|" * (len(names) + 1), flush=True)
    for ranks in RANKS:
        cells = []
        for name in names:
            whole, computed = function(ranks, name)
            cells.append(f"{whole * 1e3:.1f} ms, {100 * computed / whole:.0f} %")
        print(f"| {ranks} | " + " | ".join(cells) + " |", flush=True)


class _Member:
    """A rank of a group, as far as `Rows` asks."""

    def __init__(self, rank, size):
        self.rank, self.size = lambda: rank, lambda: size


def checkpoints():
    """The plan for a checkpoint of sharded parameters and of the state of Adam: seconds of CPU, not simulated."""
    print("\n| ranks | parts | plan on rank 0 | table of contents | largest file |\n|" + "---:|" * 5, flush=True)
    shapes = {f"{kind}.{name}": tuple(p.shape) for name, p in network().named_parameters()
              for kind in ("model", "exp_avg", "exp_avg_sq")}
    for ranks in RANKS:
        plans = []
        for rank in range(ranks):
            plan = {}
            for name, shape in shapes.items():
                rows = Rows(_Member(rank, ranks), shape)
                count = rows.stop - rows.start
                if count:
                    plan[name] = (("float32", shape, rows.start, count), count * rows.inner * 4)
            plans.append(plan)
        began = time.process_time()
        names = saving._assign(plans)
        parts = [[(name, saving.files.Part(plan[name][0][2], plan[name][0][3], f"__{rank}_0123abcd.distcp", 0, 0, 0))
                  for name in names[rank]] for rank, plan in enumerate(plans)]
        size = len(saving._contents(plans, parts).dump())
        took = time.process_time() - began
        largest = max(sum(plan[name][1] for name in names[rank]) for rank, plan in enumerate(plans))
        print(f"| {ranks} | {sum(map(len, parts))} | {took:.2f} s | {size / 1e6:.1f} MB | {largest / 1e6:.2f} MB |",
              flush=True)


def main():
    """Print all tables."""
    torch.manual_seed(0)
    count = sum(p.numel() for p in network().parameters())
    print(f"{count / 1e6:.1f} million parameters, {TOKENS} tokens a rank, {TFLOPS} TFLOP/s, machines of 8 ranks: "
          + json.dumps(vars(simulated.Network())))
    table("DistributedDataParallel by bucket size in MB (levels)", (1, 5, 25, 100, 1000),
          lambda ranks, bucket: step(ranks, data_parallel(bucket)))
    table("DistributedDataParallel by algorithm (buckets of 25 MB)", ("ring", "tree", "levels"),
          lambda ranks, algorithm: step(ranks, data_parallel(25), algorithm=algorithm))
    kinds = {"all ranks": sharded(), "shards within a machine, replicas between": sharded(8)}
    table("fully_shard", tuple(kinds), lambda ranks, kind: step(ranks, kinds[kind]))
    checkpoints()


if __name__ == "__main__":
    main()
