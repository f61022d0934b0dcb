"""A real TensorBoard shows a log: its pages are opened in headless Chromium."""
import os
import socket
import subprocess
import sys
import urllib.request
import time

import numpy as np
import pytest

import rushlight as torch

pytest.importorskip("tensorboard", reason="the tensorboard extra is not installed")
from browser import Browser, executable  # noqa: E402

pytestmark = [
    pytest.mark.skipif(executable() is None, reason="Chromium is not installed"), pytest.mark.timeout(600),
]


def write_log(folder):
    from rushlight.utils.tensorboard import SummaryWriter
    torch.manual_seed(0)
    with SummaryWriter(folder) as writer:
        ramp = torch.linspace(0, 1, 32)
        writer.add_image("ramp", torch.stack([ramp.expand(32, 32), ramp.expand(32, 32).t(), torch.zeros(32, 32)]))
        for step in range(5):
            writer.add_scalar("loss", 1.0 / (step + 1), step)
            writer.add_histogram("weights", torch.randn(1000) + step, step)
        writer.add_embedding(torch.randn(6, 4), metadata=list("abcdef"))
        model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())
        writer.add_graph(model, torch.randn(1, 4))


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of a TensorBoard on a log."""
    folder = tmp_path_factory.mktemp("log")
    write_log(str(folder))
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1", "--port",
               str(port), "--load_fast=false"]
    with open(folder / "server.txt", "w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_for(f"http://127.0.0.1:{port}/data/runs", server, folder / "server.txt")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def wait_for(url, server, output):
    """Wait until the server knows a run."""
    end = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                if b"." in answer.read():
                    return
        except OSError:
            pass
        assert server.poll() is None and time.monotonic() < end, output.read_text()
        time.sleep(0.3)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


PAGES = {
    "scalars": ["text.includes('loss')", "all.some(n => n.tagName == 'path' && n.getAttribute('d')?.length > 40)"],
    "images": ["text.includes('ramp')", "all.some(n => n.tagName == 'IMG' && n.naturalWidth == 32)"],
    "histograms": ["text.includes('weights')", "all.filter(n => n.classList.contains('histogram')).length >= 5"],
    "graphs": ["text.includes('Sequential')", "text.includes('output')"],
    "projector": ["/Points:\\s*6/.test(text)", "/Dimension:\\s*4/.test(text)"],
}


@pytest.mark.parametrize("page", PAGES)
def test_page(address, browser, page, tmp_path):
    browser.open(f"{address}/#{page}")
    for expression in PAGES[page]:
        browser.wait(expression)
    picture = os.path.join(os.environ.get("RUSHLIGHT_SCREENSHOTS", tmp_path), f"{page}.png")
    browser.screenshot(picture)
    pixels = np.asarray(pytest.importorskip("PIL.Image").open(picture).convert("RGB")).reshape(-1, 3)
    assert len(np.unique(pixels, axis=0)) > 50, "the page is nearly empty"
