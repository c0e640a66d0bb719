"""List every changed file of a manifest once one of them is found to have changed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from synaug.data.manifest import Manifest
from synaug.errors import ChangedFileError
from synaug.runtime.records import changed_files, named

REAL_WAY_OUT = (
    "Restore the files. If the data moved or changed on purpose, plan again: the same data under a new path may go "
    "into the same run directory; other data need another one (synaug plan DATA --out OTHER)."
)
SYNTHETIC_WAY_OUT = (
    "Restore the files, or take them out with 'synaug check RUN --reject' and replace them with 'synaug generate RUN'."
)


@contextlib.contextmanager
def naming_changed_files(manifest: Manifest) -> Iterator[None]:
    """Extend the error about one changed file with all others in the manifest and advice."""
    try:
        yield
    except ChangedFileError as error:
        raise changed_error(manifest, error) from error


def changed_error(manifest: Manifest, first: ChangedFileError) -> ChangedFileError:
    """Return an error that lists the changed files of a manifest; this compares all of its files."""
    digests = manifest.frame["sha256"].astype(str)
    rows = [row for row, digest in enumerate(digests) if digest and manifest.frame["path"].iat[row]]
    paths = {manifest.absolute_path(row): row for row in rows}
    changed = changed_files([(path, str(digests.iat[row])) for path, row in paths.items()])
    if not changed:
        return first
    is_made = {bool(manifest.is_synthetic[paths[path]]) for path in changed}
    ways_out = [way for made, way in ((False, REAL_WAY_OUT), (True, SYNTHETIC_WAY_OUT)) if made in is_made]
    missing = sum(not Path(path).exists() for path in changed)
    what = f" ({missing:,} of them missing)" if missing else ""
    return ChangedFileError(
        f"{len(changed):,} of {len(rows):,} images are not those that were recorded{what}: {named(changed)}. "
        + " ".join(ways_out),
        changed[0],
    )
