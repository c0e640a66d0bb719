"""Test the positions of images in an export: in plain sorting order, for any names."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from synaug.data.export.file_index import ExportedFiles
from synaug.data.manifest import from_arrays
from synaug.runtime import storage

NAMES = ("a", "a b", "a-b", "a.b", "Ä", "007", "train")


def files_of(labels, splits, ids, contents):
    images = from_arrays(np.zeros((len(labels), 2, 2), np.uint8), labels, class_names=NAMES, split=splits)
    images = replace(images, frame=images.frame.assign(id=ids))
    files, written = ExportedFiles(images), []
    for row in reversed(range(len(images))):
        suffix, sha256 = (".png", ".jpg")[row % 2], storage.digest(bytes([contents[row]]))
        files.add(row, suffix, sha256)
        written.append((sha256, files.place(row, suffix)))
    return files, written


@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["train", "test"]), st.integers(0, 3)), max_size=40))
def test_paths_and_digests_come_in_the_order_of_their_text(rows):
    labels, splits, contents = ([row[k] for row in rows] for k in range(3))
    ids = [f"{'x y'[k % 3]}{k:02d}" for k in range(len(rows))]
    files, written = files_of(labels, splits, ids, contents)
    order = files.in_order()
    assert [files.path(row) for row in order] == sorted(path for _, path in written)
    assert list(files.digest_lines(order)) == sorted(written)
    assert files.folders() == sorted({path.rpartition("/")[0] + "/" for _, path in written})
    for split in files.splits:
        assert [files.path(row) for row in files.of_split(order, split)] == sorted(
            path for _, path in written if path.startswith(f"{split}/")
        )


def test_names_that_differ_by_letter_case_only_become_distinct_files():
    files, _ = files_of([0, 0], ["train", "train"], ["x-1", "X-1"], [0, 1])
    files.add(0, ".png", storage.digest(b""))
    files.add(1, ".png", storage.digest(b""))
    assert len(files.in_order()) == 2
    assert files.path(0).casefold() != files.path(1).casefold()
