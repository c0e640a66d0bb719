"""Repair the last layer of a network that was trained on a long-tailed set, with balanced real images."""

import numpy as np
import torch
from sklearn.datasets import load_digits

import synaug
from synaug.config import StageOptions
from synaug.training.fit import predict
from synaug.training.images import make_training_set
from synaug.training.models import make_model

digits = load_digits()
images = np.round(digits.images * 255 / 16).astype(np.uint8)
rng = np.random.default_rng(0)
order = rng.permutation(len(images))
test, rest = order[:600], order[600:]
keep = {digit: 80 if digit < 5 else 8 for digit in range(10)}
train = np.concatenate([rest[digits.target[rest] == digit][:number] for digit, number in keep.items()])


def as_set(rows):
    """Return the rows as a training set of 8 x 8 grey images."""
    labels = torch.from_numpy(digits.target[rows])
    return make_training_set(torch.from_numpy(images[rows])[:, None], labels, num_classes=10)


model = make_model("resnet8", num_classes=10, in_channels=1, image_size=8, seed=0)
synaug.train_representation(model, as_set(train), StageOptions(steps=80, mixing="none", flip=False), seed=0)
repaired = synaug.retrain_classifier(model, as_set(train), method="logistic", seed=0)
for name, network in (("before", model), ("after", repaired)):
    logits = predict(network, as_set(test))
    report = synaug.longtail_report(
        labels=digits.target[test],
        predictions=logits.argmax(1).numpy(),
        num_classes=10,
        class_counts=np.array(list(keep.values())),
    )
    print(f"{name}: accuracy {report.accuracy:.3f}, classes with 8 images {report.few:.3f}")
