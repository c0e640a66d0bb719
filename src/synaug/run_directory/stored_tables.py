"""Read the tables beside a result: the predictions of a method, and the loss of its training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from synaug.errors import DataError, first_line
from synaug.run_directory.paths import RunPaths
from synaug.runtime.files import directories
from synaug.runtime.security import shell_word


def read_table(path: Path, columns: Mapping[str, type], run: RunPaths) -> pd.DataFrame:
    """Return the columns of a table in a run directory.

    Args:
        path: a CSV file.
        columns: their names and types, ``str`` or ``float``.
        run: the run directory, for the message.

    Raises:
        DataError: the file is damaged, has no rows, or lacks a column.
    """
    file = directories.checked(path)
    try:
        table = pd.read_csv(file, usecols=list(columns), dtype=dict(columns), keep_default_na=False)
        if table.empty:
            raise ValueError("it has no rows")
    except ValueError as error:  # every error of pandas about a damaged table, and bytes that are not text
        raise DataError(
            f"{path} is damaged: {first_line(error)}. Remove the folder {path.parent} and train again: "
            f"synaug retrain {shell_word(run.path)}"
        ) from error
    return table
