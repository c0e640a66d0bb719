"""Export a balanced set and train a small network of Keras, on its torch backend, on the folder."""

import os
from pathlib import Path

import numpy as np

import synaug
from synaug.data import read_image
from synaug.pipeline.export import export
from synaug.run_directory import Run
from synaug.runtime import demo_data

os.environ["KERAS_BACKEND"] = "torch"  # before the import; Keras also writes its settings to KERAS_HOME
os.environ.setdefault("KERAS_HOME", str(Path("runs/keras").resolve()))
import keras

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
keras.utils.set_random_seed(0)
files = sorted(Path("photos-balanced/train").glob("*/*"))  # one folder per class
names = sorted({path.parent.name for path in files})
images = np.stack([keras.utils.img_to_array(keras.utils.load_img(path, target_size=(32, 32))) for path in files])
labels = np.array([names.index(path.parent.name) for path in files])
model = keras.Sequential(
    [
        keras.layers.Input((32, 32, 3)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(len(names)),
    ]
)
model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
history = model.fit(images, labels, batch_size=8, epochs=2, verbose=0)
print(names, f"loss {history.history['loss'][-1]:.2f}")
