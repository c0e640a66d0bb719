"""Export a balanced set, load it with `datasets`, and train a small ResNet with the Trainer of transformers."""

from pathlib import Path

import numpy as np
import torch
from datasets import load_dataset
from transformers import ResNetConfig, ResNetForImageClassification, Trainer, TrainingArguments

import synaug
from synaug.data import read_image
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

# From here on nothing is synaug's.
data = load_dataset("imagefolder", data_dir="photos-balanced").class_encode_column("label")
names = data["train"].features["label"].names


def to_tensors(batch):
    images = [np.asarray(image.convert("RGB").resize((32, 32)), np.float32) / 255 for image in batch["image"]]
    return {"pixel_values": [torch.from_numpy(image).permute(2, 0, 1) for image in images], "labels": batch["label"]}


config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=len(names))
arguments = TrainingArguments(
    "runs/trainer", max_steps=6, per_device_train_batch_size=8, remove_unused_columns=False, report_to="none",
    use_cpu=True, disable_tqdm=True, save_strategy="no",
)  # fmt: skip
trainer = Trainer(
    ResNetForImageClassification(config), arguments, train_dataset=data["train"].with_transform(to_tensors)
)
print(names, f"loss {trainer.train().training_loss:.2f}")
