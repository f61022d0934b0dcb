"""`python -m rushlight warm`: kernels that most programs need go into the kernel cache, before the first program runs.

Nothing depends on it: what is not in the cache is compiled when it is needed. The programs below are small, because a
kernel serves every size of its structure. Each runs a few times: the first time by launch records, later as planned.
"""
import sys
import time

from .. import engine, nn, optim
from ..api import no_grad, rand, randint, randn, tensor
from ..base import switches
from ..core.stream import flush
from ..nn import functional
from ..runtime.cpu import hurry

RUNS = 3
PROGRAMS = {}


def program(title):
    """Enter a program: a function that returns its step."""
    def enter(build):
        PROGRAMS[title] = build
        return build
    return enter


def main(arguments=()):
    """Compile what is missing and say how much that was; returns the exit status. It takes no arguments."""
    if arguments:
        print(f"rushlight warm: takes no arguments, got {' '.join(arguments)}", file=sys.stderr)
        return 2
    if switches.CACHE is None:
        print("rushlight warm: RUSHLIGHT_CACHE=0 keeps no kernels on disk", file=sys.stderr)
        return 2
    began = time.perf_counter()
    for title, build in PROGRAMS.items():
        before = engine.statistics()
        step = build()
        for _ in range(RUNS):
            step()
            flush()
        after = engine.statistics()
        compiled, loaded = [after[name] - before[name] for name in ("kernels_compiled", "kernels_loaded")]
        print(f"{title:30s} {compiled:4d} kernels compiled, {loaded:4d} found", flush=True)
    hurry.settle()
    print(f"{time.perf_counter() - began:.1f} s, kept in {switches.CACHE}")
    return 0


def training(model, x, target, loss, make, **options):
    """The step that trains a model."""
    optimizer = make(model.parameters(), **options)

    def step():
        found = loss(model(x), target)
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
        return found.item()
    return step


def evaluation(model, x):
    """The step that reads a model's answers."""
    model.eval()

    def step():
        with no_grad():
            return model(x).argmax(-1).tolist()
    return step


def both(first, second):
    """Two steps in turn."""
    def step():
        first()
        second()
    return step


@program("tensors, arithmetic, printing")
def arithmetic():
    def step():
        x, y = randn(6, 5), tensor([[1.0], [2.0], [3.0], [4.0], [5.0], [6.0]])
        for found in (x + y, x - y, x * 2 + 1, x / y, -x, x.abs(), x.exp(), x.tanh(), x.sigmoid(), x.relu(), x > 0,
                      x.sum(), x.mean(0), x.std(), x.max(), x.min(), x.argmax(1), x.softmax(1), x.t() @ x, x[1:, 2],
                      x.T.contiguous(), x.clone(), rand(3).cumsum(0), randint(0, 9, (4,)).sort()[0]):
            str(found)
    return step


@program("linear layers")
def linear():
    model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), nn.GELU(), nn.Linear(32, 3))
    x, target = randn(16, 20), randint(0, 3, (16,))
    return both(training(model, x, target, functional.cross_entropy, optim.SGD, lr=0.01, momentum=0.9),
                evaluation(model, x))


@program("regression")
def regression():
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
    return training(model, randn(32, 2), randn(32, 1), functional.mse_loss, optim.Adam, lr=0.05)


def convolutional():
    """The network of `make demo`."""
    return nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.25), nn.Linear(64 * 4 * 4, 128), nn.ReLU(),
                         nn.Dropout(0.25), nn.Linear(128, 10))


@program("convolutions, training")
def convolutions():
    model = convolutional()
    return training(model, rand(64, 1, 8, 8), randint(0, 10, (64,)), functional.cross_entropy, optim.Adam, lr=0.004)


@program("convolutions, answers")
def answers():
    return evaluation(convolutional(), rand(64, 1, 8, 8))


class Residual(nn.Module):
    """A block with batch normalisation and a shortcut, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.normal, self.again, self.out = nn.BatchNorm2d(16), nn.BatchNorm2d(16), nn.Linear(16, 4)

    def forward(self, x):
        x = self.normal(self.first(x)).relu()
        x = (x + self.again(self.second(x))).relu()
        return self.out(functional.adaptive_avg_pool2d(x, 1).flatten(1))


@program("batch normalisation")
def residual():
    model, x = Residual(), rand(8, 3, 16, 16)
    return training(model, x, randint(0, 4, (8,)), functional.cross_entropy, optim.SGD, lr=0.1, momentum=0.9,
                    weight_decay=1e-4)


class Text(nn.Module):
    """Embedded tokens, a layer over them, and scores for each position."""

    def __init__(self, layer):
        super().__init__()
        self.embedding, self.layer, self.out = nn.Embedding(50, 32), layer, nn.Linear(32, 50)

    def forward(self, tokens):
        found = self.layer(self.embedding(tokens))
        return self.out(found[0] if isinstance(found, tuple) else found).flatten(0, 1)


@program("transformer layer")
def transformer():
    model = Text(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True))
    tokens = randint(0, 50, (4, 12))
    return training(model, tokens, tokens.flatten(), functional.cross_entropy, optim.AdamW, lr=1e-3)


@program("recurrent layers")
def recurrent():
    tokens = randint(0, 50, (4, 12))
    steps = [training(Text(kind(32, 32, batch_first=True)), tokens, tokens.flatten(), functional.cross_entropy,
                      optim.Adam) for kind in (nn.LSTM, nn.GRU)]
    return both(*steps)
