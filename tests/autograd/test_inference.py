"""Inference tensors, versions across `x.data = y`, and `detach_` of what a node has saved."""
import threading

import pytest

import rushlight as torch


def made_inside():
    """A tensor made in inference mode."""
    with torch.inference_mode():
        return torch.ones(2)


WRITES = {
    "add_": lambda t: t.add_(1), "zero_": lambda t: t.zero_(), "copy_": lambda t: t.copy_(torch.ones(2)),
    "item": lambda t: t.__setitem__(0, 1), "slice": lambda t: t.__setitem__(slice(None), torch.ones(2)),
    "out": lambda t: torch.add(torch.ones(2), 1, out=t), "unsqueeze_": lambda t: t.unsqueeze_(0),
    "view": lambda t: t[:1].mul_(2), "random": lambda t: t.uniform_(), "mask": lambda t: t.masked_fill_(t > 0, 2),
}  # fmt: skip


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("name", WRITES)
def test_inference_tensors_are_written_inside_alone(name, grad):
    tensor = made_inside()
    with torch.set_grad_enabled(grad), pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        WRITES[name](tensor)
    with torch.inference_mode():
        WRITES[name](tensor)


def test_what_is_an_inference_tensor():
    normal = torch.ones(3)
    tensor = made_inside()
    with torch.inference_mode():
        view, made = normal[:2], normal * 2
        normal.add_(1)
        with torch.inference_mode(False):
            tracked = normal * 2
    assert all([t.is_inference() for t in (tensor, tensor[:1], tensor.detach(), made)])
    assert not any([t.is_inference() for t in (normal, view, tracked, tensor.clone(), tensor + 1)])
    assert normal._version == 1
    with pytest.raises(RuntimeError, match="do not track version"):
        tensor._version  # noqa: B018
    with pytest.raises(RuntimeError, match="created in inference mode and is being modified inplace in normal mode"):
        view.add_(1)


def test_inference_tensors_are_not_saved_for_backward():
    tensor, x = made_inside(), torch.ones(2, requires_grad=True)
    for save in (lambda: tensor * x, lambda: torch.outer(tensor, x), lambda: torch.stack([tensor * x])):
        with pytest.raises(RuntimeError, match="cannot be saved for backward"):
            save()
    (tensor.clone() * x + tensor).sum().backward()  # a sum saves nothing
    assert x.grad.tolist() == [1, 1]


def test_inference_tensors_do_not_require_grad_outside():
    tensor = made_inside()
    for ask in (tensor.requires_grad_, lambda: torch.nn.Parameter(tensor)):
        with pytest.raises(RuntimeError, match="Setting requires_grad=True on inference tensor"):
            ask()
    with torch.inference_mode():
        leaf = torch.ones(2, requires_grad=True)
        assert leaf.requires_grad and not (leaf * 2).requires_grad
        with torch.enable_grad():
            assert not (leaf * 2).requires_grad


def test_inference_mode_belongs_to_a_thread():
    """Another thread records normal tensors while this one is in the mode, on paths known or new."""
    found = []

    def other():
        x = torch.ones(2)
        for _ in range(4):
            x = x * 2
            found.append(x.is_inference())
    with torch.inference_mode():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        for _ in range(4):
            assert (torch.ones(2) * 2).is_inference()
    assert not any(found) and not (torch.ones(2) * 2).is_inference()


def test_constants_of_ours_outlive_the_mode():
    x = torch.arange(4.0).reshape(1, 1, 4)
    with torch.inference_mode():
        torch.nn.functional.pad(x, (2, 2), mode="reflect")
    y = x.clone().requires_grad_()
    torch.nn.functional.pad(y, (2, 2), mode="reflect").sum().backward()
    assert y.grad.flatten().tolist() == [1, 3, 3, 1]


def test_data_keeps_the_version_that_views_share():
    x = torch.ones(2, 3)
    view = x[:]
    x.data = torch.zeros(2, 3)
    x.add_(1)
    assert x._version == view._version == 1
    view.mul_(2)
    x.data = torch.ones(1)
    x.add_(1)
    assert x._version == view._version == x.detach()._version == x[0]._version == 3
    assert view.tolist() == [[2, 2, 2], [2, 2, 2]]


def test_data_does_not_keep_the_memory_before():
    x = torch.ones(1 << 20)
    x.sum().item()
    before = torch.cpu.memory_allocated()
    x.data = torch.ones(1)
    x.sum().item()
    assert torch.cpu.memory_allocated() <= before - (1 << 22) + (1 << 16)


def test_detach_of_a_saved_tensor_is_noticed():
    for _ in range(4):  # also where backward is replayed
        a = torch.tensor(1.0, requires_grad=True).clone()
        b = a.sin()
        a.detach_()
        with pytest.raises(RuntimeError, match="has been detached in-place"):
            b.backward()
    c = a.clone().requires_grad_()
    (a * c).backward()  # what is saved after it is not concerned
    assert c.grad == a
    with pytest.raises(RuntimeError, match="detach views in-place"):
        torch.ones(3)[:].detach_()
