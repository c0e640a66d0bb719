"""Audit anyone's predictions for fairness: no model, no images, only a table of labels and predictions."""

import numpy as np
import pandas as pd

import synaug

# Some model's predictions for 400 people, less accurate for the rare attribute value.
rng = np.random.default_rng(0)
gender = rng.choice(["f", "m"], 400, p=[0.25, 0.75])
label = rng.choice(["adult", "child"], 400)
right = rng.random(400) < np.where(gender == "f", 0.7, 0.9)
other = np.where(label == "adult", "child", "adult")
predictions = pd.DataFrame({"label": label, "prediction": np.where(right, label, other), "gender": gender})

scores = synaug.evaluate_predictions(predictions, attributes=["gender"])
between = scores["fairness"]["gender"]
print(f"accuracy {scores['accuracy']:.1%}; of each class:", {k: round(v, 2) for k, v in scores["per_class"].items()})
print("of each group:", {name: round(value, 2) for name, value in between["accuracy_by_group"].items()})
print(f"worst group {between['worst_group_accuracy']:.1%}")
low, high = between["intervals"]["equalized_odds_difference"]
gap = f"{between['equalized_odds_difference']:.2f} (95 % interval {low:.2f} to {high:.2f})"
print(f"equalized odds difference {gap}; 0 would be fair")
assert between["accuracy"]["f"] < between["accuracy"]["m"]
