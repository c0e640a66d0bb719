"""Balance a folder with one subfolder per class, and train on it with an ordinary torch loop."""

from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader

import synaug
from synaug.data import read_image
from synaug.runtime import demo_data

# Some images to start with: photos/bag/*.png and photos/ankle boot/*.png. Use your own folder instead.
fashion = synaug.read_data(demo_data())
for name, number in (("bag", 12), ("ankle boot", 4)):
    folder = Path("photos") / name
    folder.mkdir(parents=True)
    for row in np.flatnonzero(fashion.labels == fashion.class_names.index(name))[:number]:
        read_image(fashion, int(row)).save(folder / f"{row}.png")

# Few steps and one check, to be quick. Without model="embedded", Stable Diffusion 1.5 generates the images.
evened_out = synaug.balance(
    "photos", model="embedded", out="runs/photos", options={"generate.steps": 4, "quality.gates": ["broken"]}
)
print(synaug.to_frame(evened_out).groupby(["label", "is_synthetic"]).size())

for batch in DataLoader(synaug.to_torch(evened_out), batch_size=8, shuffle=True):
    print(tuple(batch.image.shape), "labels", batch.label.tolist(), "synthetic", int(batch.is_synthetic.sum()))
