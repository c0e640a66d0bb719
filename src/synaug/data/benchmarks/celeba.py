"""List CelebA from ``list_attr_celeba`` and ``list_eval_partition``, as CSV or as the original text files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from synaug.config import DataOptions
from synaug.data.formats import Listing
from synaug.data.formats.tables import Table, list_rows, list_table, read_table
from synaug.data.labels import attribute_parts
from synaug.errors import DataError, OptionError, unknown
from synaug.runtime.files import directories

IMAGES = "img_align_celeba"
SPLITS = {"0": "train", "1": "validation", "2": "test"}
SUBPOPBENCH = "metadata_celeba.csv"


def list_celeba(root: Path, options: DataOptions) -> Listing:
    """List the images of CelebA; label and attribute are two of its 40 attributes, usually Blond_Hair and Male.

    Args:
        root: folder with ``img_align_celeba`` and the two tables, or with the ``metadata_celeba.csv`` of SubpopBench;
            or such a table.
        options: ``label`` and ``attribute``.

    Raises:
        DataError: a table is missing, or the two tables do not match.
        OptionError: the label or attribute is not one of CelebA's, or both are the same.
    """
    if root.is_file():
        return list_table(root, options)
    if (root / SUBPOPBENCH).is_file():
        return list_table(root / SUBPOPBENCH, options.model_copy(update={"label": "y", "attribute": "a"}))
    values, parts = _read(root, "list_attr_celeba"), _read(root, "list_eval_partition")
    if len(parts.columns) < 2 or set(values.iloc[:, 0]) != set(parts.iloc[:, 0]):
        raise DataError(f"{root}: list_attr_celeba and list_eval_partition name different images.")
    split = values.iloc[:, 0].map(dict(zip(parts.iloc[:, 0], parts.iloc[:, 1], strict=True))).map(SPLITS)
    frame = pd.DataFrame({"image": f"{IMAGES}/" + values.iloc[:, 0], "split": split})
    names: dict[str, tuple[str, ...]] = {}
    known = [str(name) for name in values.columns[1:]]
    chosen_attributes = [] if options.attribute is None else attribute_parts(options.attribute, known)
    for kind, name in (("label", options.label), *(("attribute", part) for part in chosen_attributes)):
        if name is None:
            continue
        if name not in known:
            raise unknown(f"CelebA {kind}", name, known)
        if name in frame:
            raise OptionError(f"The label and the attribute are both {name!r}; they must differ.")
        frame[name] = (values[name].astype(int) > 0).astype(int)
        names[name] = ("female", "male") if name == "Male" else (f"not {name}", name)
    chosen = options.model_copy(update={"path": "image", "split": "split"})
    return list_rows(Table(frame, names), chosen, where=root / "list_attr_celeba", root=root)


def _read(root: Path, stem: str) -> pd.DataFrame:
    """Return a table with the file name in the first column, all text."""
    if (root / f"{stem}.csv").is_file():
        return read_table(root / f"{stem}.csv").frame
    path = root / f"{stem}.txt"
    if not path.is_file():
        raise DataError(f"{root} has neither {stem}.csv nor {stem}.txt. Get it with CelebA and put it beside {IMAGES}.")
    rows = [line.split() for line in directories.read_bytes(path).decode().splitlines() if line.strip()]
    if len(rows) > 2 and len(rows[0]) == 1:  # starts with the number of images and the attribute names
        return pd.DataFrame(rows[2:], columns=["image_id", *rows[1]])
    return pd.DataFrame(rows)
