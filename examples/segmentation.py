"""Train a segmentation network on shapes, and draw the masks that it finds: plain PyTorch and torchvision code.

    python -m rushlight examples/segmentation.py    # `python examples/segmentation.py` where torch and torchvision are

Makes pictures of circles, squares and triangles with the class of each pixel, augments pictures and masks together
(transforms.v2), trains torchvision's LR-ASPP with MobileNetV3 from scratch, and writes segmentation.png, pictures that
it has not seen, their masks and the masks that it finds, into the folder of --out.
"""
import argparse
import pathlib
import time

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import nn
from torchvision import tv_tensors
from torchvision.models.segmentation import lraspp_mobilenet_v3_large
from torchvision.transforms import v2
from torchvision.utils import draw_segmentation_masks, make_grid, save_image

SIZE = 96
NAMES = ("background", "circle", "square", "triangle")
COLOURS = ["lime", "orange", "deepskyblue"]


def make_scene(generator):
    """A picture (3, SIZE, SIZE) of uint8 with two to four shapes, and the class of each pixel (SIZE, SIZE)."""
    picture = Image.fromarray(generator.integers(20, 90, (SIZE, SIZE, 3), dtype=np.uint8))
    mask = Image.new("L", (SIZE, SIZE))
    for _ in range(generator.integers(2, 5)):
        radius, label = int(generator.integers(10, 24)), int(generator.integers(1, len(NAMES)))
        x, y = generator.integers(radius, SIZE - radius, 2).tolist()
        box = (x - radius, y - radius, x + radius, y + radius)
        for canvas, fill in ((ImageDraw.Draw(picture), tuple(generator.integers(120, 256, 3).tolist())),
                             (ImageDraw.Draw(mask), label)):
            if label == 1:
                canvas.ellipse(box, fill=fill)
            elif label == 2:
                canvas.rectangle(box, fill=fill)
            else:
                canvas.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=fill)
    return tv_tensors.Image(picture), tv_tensors.Mask(np.array(mask))


def train(model, generator, steps, batch=8):
    """Train on new scenes in each step, mirrored and with other colours at random."""
    augment = v2.Compose([v2.RandomHorizontalFlip(), v2.ColorJitter(0.3, 0.3, 0.3),
                          v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64}, scale=True)])
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    running = None
    for step in range(1, steps + 1):
        images, masks = zip(*[augment(*make_scene(generator)) for _ in range(batch)])
        loss = nn.functional.cross_entropy(model(torch.stack(images))["out"], torch.stack(masks))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        running = loss.item() if running is None else 0.9 * running + 0.1 * loss.item()
        if step % 25 == 0:
            print(f"step {step:4d}: loss {running:.3f}", flush=True)


@torch.no_grad()
def segment(model, images):
    """The class of each pixel (N, H, W)."""
    model.eval()
    return model(images.float() / 255)["out"].argmax(1)


def overlap(found, masks):
    """The mean intersection over union of the classes."""
    shares = []
    for label in range(len(NAMES)):
        ours, theirs = found == label, masks == label
        shares.append((ours & theirs).sum().item() / max((ours | theirs).sum().item(), 1))
    return sum(shares) / len(shares)


def draw_results(images, masks, found, path):
    """A sheet with a row of pictures, one of masks and one of the masks that were found."""
    def painted(classes):
        return [draw_segmentation_masks(image, part[None] == torch.arange(1, len(NAMES))[:, None, None], alpha=0.6,
                                        colors=COLOURS) for image, part in zip(images, classes)]
    sheet = make_grid([*images, *painted(masks), *painted(found)], nrow=len(images), padding=3, pad_value=255)
    save_image(nn.functional.interpolate(sheet[None] / 255, scale_factor=2)[0], path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out"))
    parser.add_argument("--steps", type=int, default=150)
    arguments = parser.parse_args()
    start = time.perf_counter()
    torch.manual_seed(0)
    model = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=len(NAMES))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1  # MobileNetV3's 0.01 would need a thousand steps to settle
    train(model, np.random.default_rng(0), arguments.steps)
    generator = np.random.default_rng(1)
    images, masks = [torch.stack(parts) for parts in zip(*[make_scene(generator) for _ in range(32)])]
    found = segment(model, images)
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw_results(images[:6], masks[:6], found[:6], arguments.out / "segmentation.png")
    print(f"mean overlap {overlap(found, masks):.1%}, {time.perf_counter() - start:.1f} s, "
          f"{arguments.out / 'segmentation.png'}")


if __name__ == "__main__":
    main()
