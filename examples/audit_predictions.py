"""Score anyone's predictions: recall of each class, and fairness between the values of an attribute."""

import pandas as pd

from synaug.evaluation.predictions import evaluate_predictions

predictions = pd.DataFrame(
    {
        "label": ["adult", "adult", "adult", "adult", "child", "child", "child", "child"],
        "prediction": ["adult", "adult", "child", "adult", "child", "child", "child", "adult"],
        "gender": ["f", "m", "f", "m", "f", "m", "f", "m"],
    }
)
scores = evaluate_predictions(predictions, attributes=["gender"])
print("accuracy", scores["accuracy"])
print("recall of each class", scores["per_class"])
print("between f and m", scores["fairness"]["gender"])
