"""List a UTKFace folder, whose file names contain age, gender and race: ``[age]_[gender]_[race]_[time].jpg``."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from synaug.config import DataOptions
from synaug.data.formats import Listing, texts
from synaug.data.formats.folders import image_files, is_image_name
from synaug.data.labels import BETWEEN, attribute_parts, sorted_names
from synaug.data.manifest import SINGLE_ATTRIBUTE, Quarantined
from synaug.errors import OptionError, unknown

GENDERS = ("male", "female")
RACES = ("white", "black", "asian", "indian", "other")
AGE_BANDS = ((20, "0-19"), (40, "20-39"), (60, "40-59"), (131, "60+"))
FIELDS = ("age_band", "gender", "race")


def is_faces(folder: Path) -> bool:
    """Return whether most images directly in a folder have names of this form."""
    names = [name for name in os.listdir(folder) if is_image_name(name)][:1000]
    return 2 * sum(_values(name) is not None for name in names) > len(names)


def list_faces(root: Path, options: DataOptions) -> Listing:
    """List the images of UTKFace; files whose name lacks a field are skipped as unusable.

    Raises:
        OptionError: label or attribute is not one of age_band, gender and race, or both are the same.
    """
    label, attribute = options.label, options.attribute
    if label is None:
        raise OptionError(
            f"{root} looks like UTKFace, where the label must be chosen: --label with one of {', '.join(FIELDS)}."
        )
    parts = [] if attribute is None else attribute_parts(attribute, FIELDS)
    for kind, name in (("UTKFace label", label), *(("UTKFace attribute", part) for part in parts)):
        if name not in FIELDS:
            raise unknown(kind, name, FIELDS)
    if label in parts:
        raise OptionError(f"The label and the attribute are both {label!r}; they must differ.")
    paths, bad = texts(image_files(root))
    rows, unusable = [], [*bad]
    for path in paths:
        values = _values(os.path.basename(path))
        if values is None:
            unusable.append(Quarantined(path, "its name is not [age]_[gender]_[race]_[time]"))
        else:
            rows.append((path, values[label], BETWEEN.join(values[part] for part in parts), *map(values.get, parts)))
    singles = [SINGLE_ATTRIBUTE + part for part in parts]
    frame = pd.DataFrame(rows, columns=["path", "label", "attribute", *singles], dtype=str)
    return Listing(
        frame=frame.drop(columns=singles if len(parts) == 1 else []).assign(id=frame["path"], split="train"),
        class_names=sorted_names(frame["label"]),
        attribute_names=sorted_names(set(frame["attribute"]) - {""}),
        root=root,
        unusable=tuple(unusable),
    )


def _values(name: str) -> dict[str, str] | None:
    """Return the fields in a file name, or None if one is missing or out of range.

    >>> _values("36_1_2_20170116174525125.jpg.chip.jpg")
    {'age_band': '20-39', 'gender': 'female', 'race': 'asian'}
    """
    parts = name.split(".")[0].split("_")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() for part in parts[:3]):
        return None
    age, gender, race = (int(part) for part in parts[:3])
    bands = [band for end, band in AGE_BANDS if age < end]
    if not bands or gender >= len(GENDERS) or race >= len(RACES):
        return None
    return {"age_band": bands[0], "gender": GENDERS[gender], "race": RACES[race]}
