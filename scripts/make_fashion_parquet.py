"""Make the embedded demo set: long-tailed Fashion-MNIST for training, balanced for testing.

    python scripts/make_fashion_parquet.py --out src/synaug/assets/fashion.parquet

Training: 500 down to 10 images per class (imbalance factor 50), drawn without replacement from the half of the training
archive that the embedded generator never saw. Test: 400 per class of the 10,000 test images, except those whose pixels
occur in the training archive. One Parquet file in the layout that `datasets` reads: image (bytes, path), label
(ClassLabel), split.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from synaug.data.benchmarks import fashion_mnist
from synaug.data.subsets import longtail_counts
from synaug.runtime import storage

SEED = 2308
TEST_PER_CLASS = 400


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def rows(archive: str | None) -> list[dict[str, object]]:
    train, test = fashion_mnist.read_archive("train", archive), fashion_mnist.read_archive("test", archive)
    held_out = fashion_mnist.split_positions(train, test).held_out
    in_training = {image.tobytes() for image in train.images}
    rng = np.random.default_rng(SEED)
    made: list[dict[str, object]] = []
    for label, count in enumerate(longtail_counts(500, 50, len(fashion_mnist.CLASS_NAMES))):
        chosen = rng.choice(held_out[train.labels[held_out] == label], count, replace=False)
        made += [row(train.images[i], label, "train", f"train-{i:05d}") for i in sorted(chosen)]
        fresh = [i for i in np.flatnonzero(test.labels == label) if test.images[i].tobytes() not in in_training]
        chosen = rng.choice(fresh, TEST_PER_CLASS, replace=False)
        made += [row(test.images[i], label, "test", f"test-{i:05d}") for i in sorted(chosen)]
    return made


def row(image: np.ndarray, label: int, split: str, name: str) -> dict[str, object]:
    return {"image": {"bytes": png(image), "path": f"{name}.png"}, "label": label, "split": split}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--archive", help="folder of the Fashion-MNIST .gz files")
    options = parser.parse_args()
    features = {
        "image": {"_type": "Image"},
        "label": {"names": list(fashion_mnist.CLASS_NAMES), "_type": "ClassLabel"},
        "split": {"dtype": "string", "_type": "Value"},
    }
    table = pa.Table.from_pylist(rows(options.archive)).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="none", use_dictionary=["split"])
    storage.write_bytes(options.out, sink.getvalue().to_pybytes())
    print(f"{options.out}: {table.num_rows:,} images, {options.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
