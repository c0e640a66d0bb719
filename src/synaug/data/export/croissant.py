"""Describe an exported set in Croissant 1.1 (MLCommons), the JSON-LD used by data set search and loaders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

CROISSANT = "croissant.json"
VERSION = "http://mlcommons.org/croissant/1.1"
_TYPES = {"int": "sc:Integer", "float": "sc:Float", "bool": "sc:Boolean", "text": "sc:Text"}
_FORMATS = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".bmp": "image/bmp",
    ".tif": "image/tiff", ".tiff": "image/tiff", ".pgm": "image/x-portable-graymap", ".ppm": "image/x-portable-pixmap",
}  # fmt: skip
_TOLD = {"license": "license", "datePublished": "created"}
_CONTEXT: dict[str, object] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant_text(
    *,
    about: Mapping[str, object],
    columns: Mapping[str, str],
    tables: Mapping[str, str],
    suffixes: Sequence[str],
) -> str:
    """Return the description; each split has a set of image files, a metadata table, and records that join them.

    Args:
        about: ``name``, ``description`` and ``license`` of the set, and the date it was ``created``.
        columns: kind of each additional metadata column; see ``dataset_card.column_kinds``.
        tables: SHA-256 of each split's ``metadata.parquet``.
        suffixes: suffixes of the image files.
    """
    content = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": VERSION,
        "name": str(about.get("name") or "balanced-images"),
        "description": str(about.get("description") or "Real images balanced with synthetic ones by SYNAuG."),
        "version": "1.0.0",
        **{key: about[known] for key, known in _TOLD.items() if about.get(known)},
        "distribution": [part for split in tables for part in _files(split, tables[split], suffixes)],
        "recordSet": [_records(split, columns) for split in tables],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _files(split: str, sha256: str, suffixes: Sequence[str]) -> list[dict[str, object]]:
    formats = sorted({_FORMATS[suffix] for suffix in suffixes})
    return [
        {
            "@type": "cr:FileObject",
            "@id": _table(split),
            "name": _table(split),
            "contentUrl": f"{split}/metadata.parquet",
            "encodingFormat": "application/x-parquet",
            "sha256": sha256,
        },
        {
            "@type": "cr:FileSet",
            "@id": _images(split),
            "name": _images(split),
            "encodingFormat": formats[0] if len(formats) == 1 else formats,
            "includes": [f"{split}/*/*{suffix}" for suffix in sorted(suffixes)],
        },
    ]


def _table(split: str) -> str:
    return f"{split}-metadata"


def _images(split: str) -> str:
    return f"{split}-images"


def _records(split: str, columns: Mapping[str, str]) -> dict[str, object]:
    """Return the records of a split: each row of the table joined with the image of that file name."""
    image_name = {"fileSet": {"@id": _images(split)}, "extract": {"fileProperty": "filename"}}
    without_folders = {"regex": r"^(?:.*/)?([^/]+)$"}  # images are identified by name without folders
    file_name = _field(split, "file_name", "sc:Text", transform=without_folders)
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{split}/image",
                "name": "image",
                "dataType": "sc:ImageObject",
                "source": {"fileSet": {"@id": _images(split)}, "extract": {"fileProperty": "content"}},
            },
            file_name | {"references": image_name},
            _field(split, "label", ["sc:Text", "cr:Label"]),
            *(_field(split, name, _TYPES[kind]) for name, kind in columns.items()),
        ],
    }


def _field(
    split: str, name: str, data_type: str | list[str], *, transform: Mapping[str, str] | None = None
) -> dict[str, object]:
    source: dict[str, object] = {"fileObject": {"@id": _table(split)}, "extract": {"column": name}}
    if transform is not None:
        source["transform"] = transform
    return {
        "@type": "cr:Field",
        "@id": f"{split}/{name}",
        "name": name,
        "dataType": data_type,
        "source": source,
    }
