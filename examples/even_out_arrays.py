"""Balance images in memory with a custom generator: any callable that makes one image per prompt."""

import numpy as np
from PIL import Image, ImageDraw

import synaug

rng = np.random.default_rng(0)


def drawing(shape, seed):
    """Draw a bright shape at a random place on a dark background."""
    spot = np.random.default_rng(seed).integers(4, 12, 2).tolist()
    image = Image.new("L", (28, 28))
    draw = ImageDraw.Draw(image)
    place = [*spot, spot[0] + 12, spot[1] + 12]
    draw.ellipse(place, fill=200) if shape == "circle" else draw.rectangle(place, fill=200)
    return image


def generator(prompts, *, seeds):
    """Draw the shape of each prompt."""
    return [drawing("circle" if "circle" in prompt else "square", seed) for prompt, seed in zip(prompts, seeds)]


labels = [0] * 30 + [1] * 5
images = np.stack([np.asarray(drawing(("circle", "square")[label], i)) for i, label in enumerate(labels)])
data = synaug.from_arrays(images, labels, class_names=["circle", "square"])

# Shapes this simple are near-duplicates, which the default checks would reject.
evened_out = synaug.balance(data, generator=generator, options={"quality.gates": ["broken"]})
print("before:", synaug.class_counts(data.labels, 2))  # [30  5]
print("after: ", synaug.class_counts(evened_out.labels, 2))  # [30 30]
assert evened_out.is_synthetic.sum() == 25
