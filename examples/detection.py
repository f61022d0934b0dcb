"""Train a small Faster R-CNN to find shapes, and draw the boxes that it finds: plain PyTorch and torchvision code.

    python -m rushlight examples/detection.py       # `python examples/detection.py` where torch and torchvision are

Makes pictures of circles, squares and triangles with their boxes, trains a detector with a backbone of four
convolutions on them, and writes detection.png, pictures that it has not seen with boxes, names and scores, into the
folder of --out.
"""
import argparse
import pathlib
import time

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import nn
from torchvision import transforms
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign, box_iou
from torchvision.utils import draw_bounding_boxes, make_grid, save_image

SIZE = 128
NAMES = ("background", "circle", "square", "triangle")
COLOURS = ("black", "lime", "orange", "deepskyblue")


def make_scene(generator):
    """A picture (3, SIZE, SIZE) with one to four shapes, and its target: boxes and labels."""
    picture = Image.fromarray(generator.integers(20, 90, (SIZE, SIZE, 3), dtype=np.uint8))
    canvas = ImageDraw.Draw(picture)
    boxes, labels = [], []
    for _ in range(20):
        radius = int(generator.integers(10, 22))
        x, y = generator.integers(radius, SIZE - radius, 2).tolist()
        box = (x - radius, y - radius, x + radius, y + radius)
        if boxes and box_iou(torch.tensor([box]), torch.tensor(boxes)).max() > 0.05:
            continue
        label = int(generator.integers(1, len(NAMES)))
        colour = tuple(generator.integers(120, 256, 3).tolist())
        if label == 1:
            canvas.ellipse(box, fill=colour)
        elif label == 2:
            canvas.rectangle(box, fill=colour)
        else:
            canvas.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=colour)
        boxes.append(box)
        labels.append(label)
        if len(boxes) == 4 or generator.random() < 0.3:
            break
    target = {"boxes": torch.tensor(boxes, dtype=torch.float32), "labels": torch.tensor(labels)}
    return transforms.functional.to_tensor(picture), target


def make_model():
    """A Faster R-CNN with small parts."""
    layers, channels = [], 3
    for width in (16, 32, 64):
        layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
    backbone = nn.Sequential(*layers)
    backbone.out_channels = channels
    return FasterRCNN(
        backbone, num_classes=len(NAMES), min_size=SIZE, max_size=SIZE,
        rpn_anchor_generator=AnchorGenerator(sizes=((20, 30, 42),), aspect_ratios=((1.0,),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], output_size=5, sampling_ratio=2),
        rpn_pre_nms_top_n_train=200, rpn_post_nms_top_n_train=60, rpn_pre_nms_top_n_test=200,
        rpn_post_nms_top_n_test=60, box_batch_size_per_image=32, rpn_batch_size_per_image=64, box_score_thresh=0.5)


def train(model, generator, steps, batch=8):
    """Train on new scenes in each step."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    running = {}
    for step in range(1, steps + 1):
        images, targets = zip(*[make_scene(generator) for _ in range(batch)])
        losses = model(list(images), list(targets))
        loss = sum(losses.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        for name, value in losses.items():
            running[name] = 0.9 * running.get(name, value.item()) + 0.1 * value.item()
        if step % 25 == 0:
            print(f"step {step:4d}: " + ", ".join(f"{name[5:]} {value:.3f}" for name, value in running.items()),
                  flush=True)


@torch.no_grad()
def detect(model, scenes):
    """What the detector finds in each scene."""
    model.eval()
    return model([image for image, _ in scenes])


def score(found, scenes):
    """(share of the shapes that were found with the right name, share of the finds that are right)."""
    right = shapes = finds = 0
    for result, (_, target) in zip(found, scenes):
        shapes, finds = shapes + len(target["labels"]), finds + len(result["labels"])
        if len(result["labels"]):
            fits = box_iou(target["boxes"], result["boxes"]) > 0.5
            right += (fits & (target["labels"][:, None] == result["labels"])).any(1).sum().item()
    return right / shapes, right / max(finds, 1)


def draw_results(found, scenes, path):
    """A sheet of scenes with the boxes that were found."""
    cells = []
    for result, (image, _) in zip(found, scenes):
        picture = (nn.functional.interpolate(image[None], scale_factor=2)[0] * 255).to(torch.uint8)
        labels = result["labels"].tolist()
        texts = [f"{NAMES[label]} {value:.2f}" for label, value in zip(labels, result["scores"].tolist())]
        colours = [COLOURS[label] for label in labels]
        if labels:
            picture = draw_bounding_boxes(picture, result["boxes"] * 2, texts, colours, width=2)
        cells.append(picture / 255)
    save_image(make_grid(cells, nrow=4, padding=4, pad_value=1.0), path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out"))
    parser.add_argument("--steps", type=int, default=150)
    arguments = parser.parse_args()
    start = time.perf_counter()
    torch.manual_seed(0)
    model = make_model()
    train(model, np.random.default_rng(0), arguments.steps)
    generator = np.random.default_rng(1)
    scenes = [make_scene(generator) for _ in range(48)]
    found = detect(model, scenes)
    recall, precision = score(found, scenes)
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw_results(found[:8], scenes[:8], arguments.out / "detection.png")
    print(f"found {recall:.1%} of the shapes, {precision:.1%} of the finds are right, "
          f"{time.perf_counter() - start:.1f} s, {arguments.out / 'detection.png'}")


if __name__ == "__main__":
    main()
