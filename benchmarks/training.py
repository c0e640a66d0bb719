"""Measure images per second of ``train_representation`` against a usual training loop and the network alone.

    python benchmarks/training.py --network resnet32 --size 32 --batch 128
    python benchmarks/training.py --network timm/resnet50 --size 224 --batch 256 --device cuda

Two rivals. The usual loop is that of tutorials: a torchvision-style data set that converts an array to a PIL image,
transforms each image, and is read by a ``DataLoader`` with workers. The plain loop is the fastest that fits on a page:
all images in one uint8 tensor on the device, ``torchvision.transforms.v2`` on whole batches (so one crop offset and one
coin flip per batch: less work than a draw per image, and a weaker augmentation), network and batches in the
channels-last layout. Network, batch, precision, device, optimizer and Mixup are the same for all; ``--channels-last``
also gives that layout to the usual loop. The loops take turns in one process, several times, and the medians are
compared, so that a busy machine slows all of them.

Limits. Forward and backward of a network take about three times the operations of its forward pass:
ResNet-32 at 32 px needs 0.07 billion multiply-adds forward, so 0.41 billion operations per image in total.

- Two CPU cores that multiply matrices at 200 billion operations per second could do 490 images per second at most.
- 10 million images (200 epochs of 50,000) are 4.1e15 operations: about 4 s at the 989e12 operations per second that
  an H100 has for bfloat16. Doing them in 4 minutes takes 42,000 images or 330 batches of 128 per second, 3 ms per
  batch. One batch is several hundred kernels, and starting one costs the CPU 5 to 10 microseconds: kernel launches are
  the limit there, not arithmetic, and a larger batch the remedy.

The script counts the operations, measures the machine's speed for matrix products, and prints both.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from unittest.mock import patch

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms
from torchvision.transforms import v2

from synaug.config import StageOptions
from synaug.runtime import chosen_device, chosen_precision, keep_freed_memory
from synaug.training import TrainingSet
from synaug.training.loop import train_representation
from synaug.training.networks import make_model
from synaug.training.optimization import make_optimizer
from synaug.training.training_set import make_training_set

NUM_CLASSES = 100
MOST_BYTES = 2**30  # of images
WARM_UP = 5  # steps, at most, that are not timed

Loop = Callable[[int], float]
"""Called with a number of steps; returns their duration in seconds."""


def random_set(num: int, size: int) -> TrainingSet:
    """Return noise, since the content of the images does not affect timing."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (num, 3, size, size), dtype=torch.uint8, generator=generator)
    return make_training_set(images, torch.arange(num) % NUM_CLASSES, num_classes=NUM_CLASSES)


class UsualDataset(Dataset):
    """Images as in torchvision's data sets: arrays, converted to PIL images and transformed one by one."""

    def __init__(self, data: TrainingSet, size: int) -> None:
        self.images, self.labels = data.images.permute(0, 2, 3, 1).contiguous().numpy(), data.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(size, padding=size // 8),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(data.mean.tolist(), data.std.tolist()),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[row])), self.labels[row]


def endless(loader: DataLoader) -> Iterator[list[Tensor]]:
    while True:
        yield from loader


def our_loop(model: nn.Module, data: TrainingSet, options: StageOptions, device: torch.device) -> Loop:
    def loop(steps: int) -> float:
        chosen = options.model_copy(update={"steps": steps})
        return train_representation(model, data, chosen, seed=0, device=device).seconds

    return loop


def usual_loop(
    model: nn.Module, data: TrainingSet, options: StageOptions, device: torch.device, *, workers: int
) -> Loop:
    dtype = chosen_precision("auto", device)
    loader = DataLoader(
        UsualDataset(data, data.images.shape[-1]),
        batch_size=options.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        persistent_workers=workers > 0,
    )
    batches, optimizer = endless(loader), make_optimizer(model, options)
    mixed = torch.distributions.Beta(options.mixup_alpha, options.mixup_alpha)

    def loop(steps: int) -> float:
        model.train()
        began = time.perf_counter()
        for _ in range(steps):
            images, labels = (part.to(device, non_blocking=True) for part in next(batches))
            lam, order = float(mixed.sample()), torch.randperm(len(images), device=device)
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                logits = model(lam * images + (1 - lam) * images[order])
                loss = lam * F.cross_entropy(logits, labels) + (1 - lam) * F.cross_entropy(logits, labels[order])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        wait_for(device)
        return time.perf_counter() - began

    return loop


def plain_loop(model: nn.Module, data: TrainingSet, options: StageOptions, device: torch.device) -> Loop:
    """Return the best plain loop: tensors on the device, torchvision's transforms on batches, nothing from synaug."""
    dtype = chosen_precision("auto", device)
    images, labels = data.images.to(device), data.labels.to(device)
    size = images.shape[-1]
    transform = v2.Compose(
        [
            v2.RandomCrop(size, padding=size // 8),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(data.mean.tolist(), data.std.tolist()),
        ]
    )
    optimizer = make_optimizer(model, options)
    mixed = torch.distributions.Beta(options.mixup_alpha, options.mixup_alpha)

    def loop(steps: int) -> float:
        model.train()
        began = time.perf_counter()
        order = torch.empty(0, dtype=torch.long, device=device)
        for _ in range(steps):
            if len(order) < options.batch_size:
                order = torch.randperm(len(images), device=device)
            rows, order = order[: options.batch_size], order[options.batch_size :]
            batch = transform(images[rows]).contiguous(memory_format=torch.channels_last)
            lam, partners = float(mixed.sample()), torch.randperm(len(rows), device=device)
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                logits = model(lam * batch + (1 - lam) * batch[partners])
                first, second = labels[rows], labels[rows][partners]
                loss = lam * F.cross_entropy(logits, first) + (1 - lam) * F.cross_entropy(logits, second)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        wait_for(device)
        return time.perf_counter() - began

    return loop


def network_alone(model: nn.Module, images: Tensor, device: torch.device) -> Loop:
    """Return repeated forward and backward passes over one prepared batch."""
    dtype = chosen_precision("auto", device)

    def loop(steps: int) -> float:
        model.train()
        began = time.perf_counter()
        for _ in range(steps):
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                loss = model(images).logsumexp(1).mean()
            model.zero_grad()
            loss.backward()
        wait_for(device)
        return time.perf_counter() - began

    return loop


def share_inside(model: nn.Module, data: TrainingSet, options: StageOptions, *, steps: int) -> float:
    """Return the share of ``train_representation``'s own time, on a CPU, inside forward and backward."""
    spent, began = 0.0, 0.0
    original = Tensor.backward

    def begin(*_: object) -> None:
        nonlocal began
        began = time.perf_counter()

    def end(*_: object) -> None:
        nonlocal spent
        spent += time.perf_counter() - began

    def backward(loss: Tensor) -> None:
        begin()
        original(loss)
        end()

    hooks = [model.register_forward_pre_hook(begin), model.register_forward_hook(end)]
    with patch.object(Tensor, "backward", backward):
        took = our_loop(model, data, options, torch.device("cpu"))(steps)
    for hook in hooks:
        hook.remove()
    return spent / took


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def operations_per_image(model: nn.Module, images: Tensor) -> float:
    """Count the operations of forward and backward; a multiply-add is two."""
    with FlopCounterMode(display=False) as counter:
        model(images).sum().backward()
    return counter.get_total_flops() / len(images)


def operations_per_second(device: torch.device) -> float:
    """Measure the speed of large matrix products, the best of several."""
    side = 8192 if device.type == "cuda" else 1024
    matrix = torch.rand(side, side, device=device, dtype=chosen_precision("auto", device))
    best = float("inf")
    for _ in range(6):
        began = time.perf_counter()
        matrix @ matrix
        wait_for(device)
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


def measure(arguments: argparse.Namespace) -> dict[str, float | str | int]:
    """Time all loops in turn and return the results."""
    device = chosen_device(arguments.device)
    size, batch = arguments.size, arguments.batch
    num = arguments.images or max(min(50_000, MOST_BYTES // (3 * size**2)), 2 * batch)
    data, options = random_set(num, size), StageOptions(batch_size=batch)
    layout = torch.channels_last if arguments.channels_last else torch.contiguous_format
    ours, usual, plain, alone = (
        make_model(arguments.network, num_classes=NUM_CLASSES, image_size=size).to(device) for _ in range(4)
    )
    ready = torch.rand(batch, 3, size, size, device=device).to(memory_format=torch.channels_last)
    loops = {
        "ours": our_loop(ours, data, options, device),
        "usual": usual_loop(usual.to(memory_format=layout), data, options, device, workers=arguments.workers),
        "plain": plain_loop(plain.to(memory_format=torch.channels_last), data, options, device),
        "network alone": network_alone(alone.to(memory_format=torch.channels_last), ready, device),
    }
    for loop in loops.values():
        loop(min(WARM_UP, arguments.steps))
    times = [{name: loop(arguments.steps) for name, loop in loops.items()} for _ in range(arguments.repeats)]
    speeds = {name: arguments.steps * batch / statistics.median(turn[name] for turn in times) for name in loops}
    operations = operations_per_image(alone, ready)
    peak = operations_per_second(device)
    return {
        "network": arguments.network,
        "size": size,
        "batch": batch,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads",
        "precision": str(chosen_precision("auto", device)).removeprefix("torch."),
        "ours": speeds["ours"],
        "usual": speeds["usual"],
        "ratio": speeds["ours"] / speeds["usual"],
        "plain": speeds["plain"],
        "ratio_to_plain": speeds["ours"] / speeds["plain"],
        "network_alone": speeds["network alone"],
        "minutes_for_ten_million": 1e7 / speeds["ours"] / 60,
        "share_of_network_alone": speeds["ours"] / speeds["network alone"],
        "share_inside": share_inside(ours, data, options, steps=arguments.steps) if device.type == "cpu" else math.nan,
        "operations_per_image": operations,
        "matrix_operations_per_second": peak,
        "limit": peak / operations,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="resnet32")
    parser.add_argument("--size", type=int, default=32, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=50, help="timed steps, each time")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="of the usual loop's DataLoader")
    parser.add_argument("--images", type=int, help="in the set; default: 50,000, or a GiB of them")
    parser.add_argument("--channels-last", action="store_true", help="also for the usual loop")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    keep_freed_memory()  # for all loops
    found = measure(arguments)
    if arguments.json:
        print(json.dumps(found))
        return
    print("{network} at {size} px, batch {batch}, {precision}, {device}; images per second:".format(**found))
    print("  train_representation   {ours:10,.0f}".format(**found))
    print("  10 million images take {minutes_for_ten_million:.1f} minutes (200 epochs of 50,000)".format(**found))
    print("  a usual loop           {usual:10,.0f}   ratio {ratio:.2f}".format(**found))
    print("  the best plain loop    {plain:10,.0f}   ratio {ratio_to_plain:.2f}".format(**found))
    print(
        "  the network alone      {network_alone:10,.0f}   with batches that lie ready; train_representation reaches "
        "{share_of_network_alone:.0%} of it".format(**found)
    )
    if not math.isnan(found["share_inside"]):
        print("  forward and backward take {share_inside:.1%} of the time of train_representation".format(**found))
    print(
        "  limit by arithmetic    {limit:10,.0f}   {matrix_operations_per_second:.3g} operations a second in matrix "
        "products, {operations_per_image:.3g} an image".format(**found)
    )


if __name__ == "__main__":
    main()
