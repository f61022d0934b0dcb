"""Tensors through queues and processes; failures of spawned processes."""
import torch
import torch.multiprocessing as mp


def double(index, box, queue):
    queue.put((index, box["x"] * 2, torch.nn.Parameter(torch.ones(2))))
    box["done"].wait(20)


def fail(index):
    if index == 1:
        raise ValueError("this one")


if __name__ == "__main__":
    context = mp.get_context("spawn")
    queue, done = context.SimpleQueue(), context.Event()
    x = torch.arange(100_000, dtype=torch.bfloat16)
    processes = mp.spawn(double, ({"x": x, "done": done}, queue), nprocs=2, join=False)
    found = sorted((queue.get() for _ in range(2)), key=lambda row: row[0])
    done.set()
    while not processes.join(20):
        pass
    assert [row[0] for row in found] == [0, 1]
    for _, tensor, parameter in found:
        assert torch.equal(tensor, x * 2) and tensor.dtype is torch.bfloat16
        assert isinstance(parameter, torch.nn.Parameter) and parameter.requires_grad
    try:
        mp.spawn(fail, nprocs=2)
    except mp.ProcessRaisedException as error:
        assert error.error_index == 1 and "ValueError: this one" in str(error)
    else:
        raise AssertionError("no error")
    print("done")
