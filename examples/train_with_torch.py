"""Export a balanced set, write it as shards, and train a torchvision network on the folder with a plain torch loop."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import models, transforms
from torchvision.datasets import ImageFolder

import synaug
from synaug.data import read_image
from synaug.data.export import write_shards
from synaug.pipeline.export import export
from synaug.run_directory import Run
from synaug.runtime import demo_data

# A run with images: yours comes from `synaug run photos/`. Few steps and one check, to be quick.
fashion = synaug.read_data(demo_data())
for name, number in (("bag", 12), ("coat", 4)):
    (folder := Path("photos") / name).mkdir(parents=True)
    for row in np.flatnonzero(fashion.labels == fashion.class_names.index(name))[:number]:
        read_image(fashion, int(row)).save(folder / f"{row}.png")
synaug.balance(
    "photos", model="embedded", out="runs/photos", options={"generate.steps": 2, "quality.gates": ["broken"]}
)
export(Run.open("runs/photos"), Path("photos-balanced"))
print("shards:", write_shards(Path("photos-balanced"), Path("photos-shards"), per_shard=16)["shards"])

# From here on nothing is synaug's.
data = ImageFolder("photos-balanced/train", transforms.Compose([transforms.Resize((32, 32)), transforms.ToTensor()]))
model = models.resnet18(num_classes=len(data.classes))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
torch.manual_seed(0)
for images, labels in DataLoader(data, batch_size=8, shuffle=True, drop_last=True):
    loss = F.cross_entropy(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(data.classes, f"loss {loss.item():.2f}")
