"""Repair the last layer of your own network, trained on a long-tailed set; no synthetic images needed."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import synaug

digits = load_digits()
images, labels = torch.from_numpy(digits.images).float()[:, None] / 16, torch.from_numpy(digits.target)
order = torch.from_numpy(np.random.default_rng(0).permutation(len(images)))
test, rest = order[:600], order[600:]
counts = [80] * 5 + [8] * 5
train = torch.cat([rest[labels[rest] == digit][:number] for digit, number in enumerate(counts)])
loader = DataLoader(TensorDataset(images[train], labels[train]), batch_size=32, shuffle=True)

torch.manual_seed(0)
network = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
for _ in range(8):
    for batch, targets in loader:
        loss = nn.functional.cross_entropy(network(batch), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

features = synaug.labeled_features(network, loader)  # once, for all methods
repaired = {way: synaug.retrain_classifier(network, features, method=way) for way in ("logistic", "crt", "tau_norm")}
for name, changed in {"before": network, **repaired}.items():
    predictions = changed(images[test]).argmax(1).numpy()
    report = synaug.longtail_report(
        labels=digits.target[test], predictions=predictions, num_classes=10, class_counts=np.array(counts)
    )
    print(f"{name}: accuracy {report.accuracy:.3f}, classes with 8 images {report.few:.3f}")
