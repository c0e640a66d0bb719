"""Find code in the folder of a model that a library would run.

``model_index.json`` names a library and a class for each part of a pipeline. diffusers imports that library, whatever
it is called, and if a file of that name lies in the folder of the part, runs that file.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from synaug.runtime import storage
from synaug.runtime.files import component_fault

_LIBRARIES = ("diffusers", "transformers")
_DESCRIPTIONS = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")
_CODE = "auto_map"  # the key under which a model of the Hub names its own code


def foreign_code(folder: Path, index: Mapping[str, object]) -> str:
    """Describe the first part of a pipeline that is not from diffusers or transformers; empty if all are.

    Args:
        folder: the folder of the model.
        index: the content of ``model_index.json``.

    Raises:
        DataError: a description of a part cannot be read.
    """
    for name, value in index.items():
        if name.startswith("_") or not isinstance(value, list) or len(value) != 2 or value[0] is None:
            continue
        library, kind = value
        if not isinstance(library, str) or not isinstance(kind, str) or component_fault(name):
            return f"{name}: {value}"
        if not _is_known(library) or (folder / name / f"{library}.py").exists():
            return f"{name}: {library}.{kind}"
        if kind.startswith("Auto") and (described := _own_classes(folder / name)):
            return f"{name}: {described}"
    return ""


def _is_known(library: str) -> bool:
    """Return whether a library of a part is one that diffusers itself writes there."""
    if library in _LIBRARIES:
        return True
    found = importlib.util.find_spec("diffusers")
    places = found.submodule_search_locations if found else None
    return library.isidentifier() and any(
        (Path(place) / "pipelines" / library).is_dir() or (Path(place) / "pipelines" / f"{library}.py").is_file()
        for place in places or ()
    )


def _own_classes(part: Path) -> str:
    """Return the description in a part's folder that names custom code; empty if none does."""
    for name in _DESCRIPTIONS:
        if (part / name).is_file():
            content = storage.read_json(part / name)
            if isinstance(content, dict) and _CODE in content:
                return f"{_CODE} in {name}"
    return ""
