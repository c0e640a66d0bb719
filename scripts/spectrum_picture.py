"""Draw docs/images/spectrum.png: how much fine detail synthetic images lack, and images before and after matching.

python scripts/spectrum_picture.py runs/demo
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from synaug.config import TrainOptions
from synaug.data.images.spectrum import BANDS, amplitudes
from synaug.methods import load_sets
from synaug.run_directory import Run

OUT = Path(__file__).parents[1] / "docs" / "images" / "spectrum.png"
ORANGE, BLUE, BLACK = "#c2571a", "#1f5f99", "#222222"
SHOWN = 6


def sets_of(run):
    """Return the training images of a run without and with matched spectra."""
    return [load_sets(run, TrainOptions(match_spectrum=option)).evened_out for option in (False, True)]


def spectra(images, labels, mask, classes):
    """Return the amplitude per band, averaged over classes."""
    return np.mean([amplitudes(images[mask & (labels == label)])[0] for label in classes], axis=0)


def draw(run):
    plain, matched = sets_of(run)
    before, after = (each.images.numpy() for each in (plain, matched))
    labels, synthetic = plain.labels.numpy(), plain.is_synthetic.numpy()
    both = [label for label in np.unique(labels[synthetic]) if (labels[~synthetic] == label).any()]
    figure, (curves, pictures) = plt.subplots(1, 2, figsize=(11, 3.6), width_ratios=(1, 1.5), layout="constrained")
    frequencies = (np.arange(BANDS) + 0.5) / BANDS
    kinds = {
        "real": (before, ~synthetic, BLACK, "-"),
        "synthetic, as generated": (before, synthetic, ORANGE, "--"),
        "synthetic, matched": (after, synthetic, BLUE, "-."),
    }
    for name, (images, mask, color, style) in kinds.items():
        curves.plot(frequencies, spectra(images, labels, mask, both), style, color=color, label=name)
    curves.set(yscale="log", xlabel="spatial frequency (1: checkerboard)", ylabel="mean amplitude")
    curves.legend(frameon=False)
    curves.spines[["top", "right"]].set_visible(False)
    chosen = [
        np.flatnonzero(mask & (labels == label))[0] for mask in (~synthetic, synthetic) for label in both[-SHOWN:]
    ]
    rows = [before[chosen[:SHOWN], 0], before[chosen[SHOWN:], 0], after[chosen[SHOWN:], 0]]
    side = before.shape[-1]
    pictures.imshow(np.block([list(row) for row in rows]), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    pictures.set(xticks=[], yticks=[(number + 0.5) * side for number in range(3)])
    pictures.set_yticklabels(["real", "as generated", "matched"])
    pictures.tick_params(length=0)
    pictures.spines[:].set_visible(False)
    figure.savefig(OUT, dpi=130)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run directory with gray images, such as that of the demo")
    draw(Run.open(parser.parse_args().run))
