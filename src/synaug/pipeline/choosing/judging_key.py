"""Compute the key of a judgment of methods: a stored one with the same key is returned instead of computed again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from synaug.config import Recipe
from synaug.methods import images_digest, options_of
from synaug.run_directory import Run
from synaug.runtime import storage
from synaug.synthesis.execution import synthetic_manifest


def judging_key(names: Sequence[str], recipe: Recipe, run: Run, rows: Iterable[str], **more: object) -> str:
    """Return a digest of everything that determines how the methods are judged.

    Args:
        names: methods.
        recipe: their options and the seed.
        run: the run whose synthetic images the methods learn from.
        rows: one text per real image that is used: its id, and whatever else about it matters.
        more: entries for this kind of judgment; they replace those of the same name.
    """
    content = {
        "options": {name: options_of(name, recipe) for name in names},
        "seed": recipe.seed,
        "real": storage.digest("\n".join(rows).encode()),
        "synthetic": images_digest(synthetic_manifest(run.plan, run.path)),
        **more,
    }
    return storage.digest(json.dumps(content, sort_keys=True).encode())
