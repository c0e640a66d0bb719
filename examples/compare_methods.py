"""Compare a custom loss, last layer and sampler with the package's methods, over several seeds."""

from pathlib import Path

import numpy as np

import synaug
from synaug.bench import markdown, read_experiment, run_bench
from synaug.data import read_image
from synaug.methods import METHODS, Method
from synaug.runtime import demo_data
from synaug.training import losses, sampling
from synaug.training.last_layer import solvers


def squared_error(logits, targets, *, context):
    """Return the mean squared error of the probabilities (Brier 1950)."""
    return (logits.softmax(1) - targets).square().sum(1).mean()


def nearest_mean(problem, *, regularization, seed):
    """Return the layer that chooses the class with the nearest mean feature."""
    means = np.stack([problem.features[problem.labels == label].mean(0) for label in range(problem.num_classes)])
    return solvers.Head(means, -(means**2).sum(1) / 2)


def cube_root(data, *, share):
    """Draw classes in proportion to the cube root of their images."""
    _, cells, counts = np.unique(data.labels.numpy(), return_inverse=True, return_counts=True)
    return cells, np.cbrt(counts) / np.cbrt(counts).sum()


# Register each under a name, with the rows of the table that use it: on the real images, or on the balanced set.
losses.LOSSES["squared_error"] = squared_error
solvers.METHODS["nearest_mean"] = nearest_mean
sampling.SAMPLERS["cube_root"] = cube_root
brier = (("loss", "squared_error"), ("mixing", "none"))
METHODS["brier"] = Method("Squared error, real images.", stage1=brier)
METHODS["synaug_brier"] = Method("Squared error, balanced set.", data="evened_out", stage1=brier)
METHODS["cube_root"] = Method("Cube root.", stage1=(("sampler", "cube_root"), ("mixing", "none")))
METHODS["nearest_mean"] = Method(
    "Features of cross_entropy; nearest mean.", starts_from="cross_entropy", retrain=(("method", "nearest_mean"),)
)

# Few steps, to be quick: the numbers of this table are meaningless.
RECIPE = """
plan: {model: embedded}
generate: {steps: 2, guidance: 1.0}
quality: {gates: [broken]}
train: {network: resnet8, stage1: {steps: 4, batch_size: 16}}
bench:
  columns: [accuracy, worst_class]
  arms:
    text: {methods: [cross_entropy, oversampling, brier, cube_root, nearest_mean, synaug_brier, synaug]}
"""

if __name__ == "__main__":  # the processes of jobs=2 import this file too, for the names above
    Path("compare.yaml").write_text(RECIPE)
    fashion = synaug.read_data(demo_data())
    for name, number in (("bag", 15), ("ankle boot", 9)):
        folder = Path("photos") / name
        folder.mkdir(parents=True, exist_ok=True)
        for row in np.flatnonzero(fashion.labels == fashion.class_names.index(name))[:number]:
            read_image(fashion, int(row)).save(folder / f"{row}.png")
    experiment = read_experiment("compare.yaml", data=Path("photos"))
    print(markdown(run_bench(experiment, Path("runs/compare"), seeds=range(2), jobs=1)))
