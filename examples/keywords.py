"""Train a keyword spotter on MFCCs, on sounds that the program makes: plain PyTorch code.

    python -m rushlight examples/keywords.py        # `python examples/keywords.py` where torch is installed

A "word" is a sequence of two or three vowels: a buzz of a voice's pitch through the resonances (formants) of a mouth.
Every example has a voice, speed, loudness and noise of its own. The network sees 40 MFCCs a frame and tells the words
apart; voices of the test are none of the training.
"""
import argparse
import math
import time

import torch
import torchaudio
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

RATE, LENGTH = 8000, 8000
FORMANTS = {"a": (800, 1200, 2500), "e": (500, 1800, 2500), "i": (300, 2300, 3000), "o": (500, 900, 2400),
            "u": (320, 800, 2200)}
WORDS = ("aia", "oe", "iu", "uao", "ea", "oio", "eu", "au")


def resonances(vowel, voice):
    """The coefficients of the three filters of a vowel, (3, 3) each; a voice's mouth is longer or shorter."""
    frequencies = torch.tensor(FORMANTS[vowel]) * voice
    radius = math.exp(-math.pi * 90 / RATE)
    a = torch.stack([torch.ones(3), -2 * radius * torch.cos(2 * math.pi * frequencies / RATE),
                     torch.full((3,), radius ** 2)], 1)
    b = torch.zeros(3, 3)
    b[:, 0] = 1 - radius
    return a, b


def speak(word, generator):
    """One second of a word, (LENGTH,), by a voice that the generator draws."""
    def draw(low, high):
        return low + (high - low) * torch.rand((), generator=generator).item()

    voice, pitch = draw(0.85, 1.2), draw(90, 250)
    duration = int(draw(0.5, 0.85) * LENGTH) // len(word)
    steps = torch.arange(duration * len(word)) / RATE
    buzz = torch.sin(math.pi * (pitch * steps * (1 + 0.1 * draw(-1, 1) * steps) % 1.0)) ** 8
    parts = []
    for number, vowel in enumerate(word):
        sound = (buzz[number * duration:(number + 1) * duration] - 0.27).expand(3, -1)
        a, b = resonances(vowel, voice)
        parts.append(torchaudio.functional.lfilter(sound, a, b, clamp=False).sum(0))
    sound = torch.cat([part * torch.hann_window(duration, periodic=False).sqrt() for part in parts])
    sound = sound / sound.abs().max() * draw(0.3, 0.9)
    found = torch.randn(LENGTH, generator=generator) * draw(0.001, 0.03)
    start = int(draw(0, LENGTH - len(sound)))
    found[start:start + len(sound)] += sound
    return found


def make(count, seed):
    """`count` examples of each word: sounds (N, LENGTH) and numbers of words (N,)."""
    generator = torch.Generator().manual_seed(seed)
    sounds = [speak(word, generator) for word in WORDS for _ in range(count)]
    return torch.stack(sounds), torch.arange(len(WORDS)).repeat_interleave(count)


class Spotter(nn.Module):
    """MFCCs (B, 40, frames) and convolutions over time: sounds (B, LENGTH) to the scores (B, words)."""

    def __init__(self):
        super().__init__()
        self.features = torchaudio.transforms.MFCC(RATE, 40, melkwargs={"n_fft": 256, "hop_length": 80, "n_mels": 40})
        self.masks = nn.Sequential(torchaudio.transforms.TimeMasking(10), torchaudio.transforms.FrequencyMasking(4))
        self.norm = nn.BatchNorm1d(40)
        self.layers = nn.Sequential(
            nn.Conv1d(40, 64, 5, stride=2), nn.BatchNorm1d(64), nn.ReLU(),
            nn.Conv1d(64, 64, 5, stride=2), nn.BatchNorm1d(64), nn.ReLU(),
            nn.Conv1d(64, 64, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Dropout(0.2),
        )
        self.scores = nn.Linear(256, len(WORDS))

    def forward(self, sounds):
        x = self.norm(self.features(sounds))
        return self.scores(self.layers(self.masks(x) if self.training else x))


def accuracy(model, loader):
    """The share of words that the model tells."""
    model.eval()
    with torch.no_grad():
        right = sum((model(sounds).argmax(1) == words).sum().item() for sounds, words in loader)
    return right / len(loader.dataset)


def main():
    """Make sounds, train, and print the accuracy after every epoch."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--epochs", type=int, default=15)
    options.add_argument("--examples", type=int, default=80, help="of each word, for training")
    args = options.parse_args()
    torch.manual_seed(0)
    train = DataLoader(TensorDataset(*make(args.examples, 1)), 32, shuffle=True)
    test = DataLoader(TensorDataset(*make(20, 2)), 64)
    model = Spotter()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, args.epochs * len(train))
    for epoch in range(args.epochs):
        model.train()
        began, total = time.perf_counter(), 0.0
        for sounds, words in train:
            loss = nn.functional.cross_entropy(model(sounds), words)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total / len(train):.3f}, test accuracy {100 * accuracy(model, test):.1f}%, "
              f"{time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
