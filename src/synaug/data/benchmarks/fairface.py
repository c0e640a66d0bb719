"""List FairFace: ``fairface_label_train.csv`` for training and ``fairface_label_val.csv`` for testing."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from synaug.config import DataOptions
from synaug.data.formats import Listing
from synaug.data.formats.tables import Table, list_rows, read_table
from synaug.data.labels import attribute_parts
from synaug.errors import OptionError, unknown

FIELDS = ("age", "gender", "race")
FILES = {"train": "fairface_label_train.csv", "test": "fairface_label_val.csv"}


def list_fairface(root: Path, options: DataOptions) -> Listing:
    """List the images of FairFace; it has no test split, so its validation images are used for testing.

    Raises:
        DataError: a table is missing.
        OptionError: label or attribute is not one of age, gender and race, or both are the same.
    """
    parts = [] if options.attribute is None else attribute_parts(options.attribute, FIELDS)
    for kind, name in (("FairFace label", options.label), *(("FairFace attribute", part) for part in parts)):
        if name is not None and name not in FIELDS:
            raise unknown(kind, name, FIELDS)
    if options.label in parts:
        raise OptionError(f"The label and the attribute are both {options.label!r}; they must differ.")
    frame = pd.concat(
        [read_table(root / name).frame.assign(split=split) for split, name in FILES.items()], ignore_index=True
    )
    chosen = options.model_copy(update={"path": "file", "split": "split"})
    return list_rows(Table(frame), chosen, where=root / FILES["train"], root=root)
