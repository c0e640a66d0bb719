"""Write a trained classifier as a separate folder: weights, description and model card."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from synaug.data import Manifest, read_image
from synaug.errors import DataError
from synaug.methods import METHODS, check_code, check_methods, network_of, read_result
from synaug.pipeline.run_results import read_choice
from synaug.report import number_or_nan, read_report
from synaug.run_directory import Run
from synaug.runtime import (
    PATH,
    TEXT,
    TEXTS,
    check_arguments,
    is_free,
    kind_of,
    needs_libraries,
    put_in_place,
    remove_left_over,
    storage,
    taken,
    work_folder,
)
from synaug.runtime.files import directories
from synaug.runtime.records import changed_files
from synaug.runtime.security import markdown, markdown_code, one_line, portable_name, shell_word
from synaug.schemas import Report, Result

if TYPE_CHECKING:
    from synaug.training.networks import SavedClassifier

CARD, CONFIG = "README.md", "config.json"
COMPARED = 14  # test images on which a file of another format is compared with the classifier
UNKNOWN_LICENSE = "unknown"
CHOSEN = "chosen"  # instead of a method: the one that the run chose
METRICS = ("accuracy", "mean_recall", "many", "medium", "few", "worst_class", "worst_group_accuracy")


@needs_libraries
def export_classifier(
    run: str | Path,
    out: str | Path,
    *,
    method: str | None = None,
    license: str = UNKNOWN_LICENSE,
    formats: Sequence[str] = (),
) -> None:
    """Write the classifier of a finished method into the new folder ``out``; ``load_classifier`` reads it.

    Args:
        run: run directory with a report.
        out: a folder that does not exist or is empty; gets weights, ``config.json`` and a model card.
        method: of the classifier; default, or ``chosen``: the one that the run chose.
        license: of the weights, as spelled on the Hub, such as ``apache-2.0``.
        formats: additional files for other programs, names of ``conversion.FORMATS``. Each is loaded again and compared
            with the classifier on test images; ``config.json`` records the largest difference of a probability.

    Raises:
        OptionError: the method or a format is unknown, a format does not exist for the network, or ``out`` is not
            empty.
        DataError: the method has no result, or the run no report.
        EnvironmentFault: a format needs a package that is missing, or computes something else.
    """
    from synaug.training.networks import FILE, check_formats, is_own, load_classifier

    check_arguments(
        "export_classifier",
        run=(run, PATH),
        out=(out, PATH),
        method=(method, TEXT.or_none),
        license=(license, TEXT),
        formats=(formats, TEXTS),
    )
    check_formats(formats)
    opened, out = Run.open(Path(run)), Path(out).resolve()
    recipe = opened.recipe
    if method is None or method == CHOSEN:
        method = read_choice(opened).get("chosen", "synaug")
    check_methods([method], recipe)
    report, result = _reported(opened, method)
    checkpoint = opened.checkpoint(method, recipe.seed)
    network = network_of(method, recipe)
    check_code([network])
    saved = load_classifier(checkpoint, network=network if is_own(network) else None)
    config = {
        **saved.about,
        "method": method,
        "seed": recipe.seed,
        "synaug_version": report["synaug_version"],
    }
    others, more = _converted(saved, formats, opened.manifest)
    config |= more
    card = model_card(report, result, config, license=license)
    weights = storage.file_digest(checkpoint / FILE)
    content, names = storage.digest(f"{weights} {json.dumps(config)} {card}".encode()), (FILE, CONFIG, CARD, *others)
    if not is_free(out, content, names):
        texts = {CONFIG: storage.digest(storage.json_bytes(config)), CARD: storage.digest(card.encode())}
        texts |= {name: storage.digest(data) for name, data in others.items()}
        if not _holds(out, {FILE: weights} | texts):
            raise taken(out)
        remove_left_over(out)  # an earlier call wrote the same, and may have been killed right after its last step
        return
    with work_folder(out, content, names) as folder:
        storage.copy_file(checkpoint / FILE, folder / FILE)
        for name, data in others.items():
            storage.write_bytes(folder / name, data)
        storage.write_json(folder / CONFIG, config)
        storage.write_text(folder / CARD, card)
        put_in_place(folder, out, kind="classifier", last=CARD)


def _reported(run: Run, method: str) -> tuple[Report, Result]:
    """Return the report of a run, and the result of a method in it.

    Raises:
        DataError: there is no report, it lacks the method, or the method was trained again since.
    """
    if not run.report.exists():
        raise DataError(
            f"{run.path} has no report yet, which the card needs. Create it with: synaug report {shell_word(run.path)}"
        )
    report = read_report(run.report)
    result = next((result for result in report["results"] if result["method"] == method), None)
    if result is None:
        known = ", ".join(result["method"] for result in report["results"])
        raise DataError(
            f"The report of {run.path} has no result of {method}; available: {known}. Train and report it first."
        )
    current = read_result(run, method, run.recipe.seed)
    if {name: result.get(name) for name in current} != current:
        raise DataError(
            f"The report of {run.path} is older than the current result. Write it again: "
            f"synaug report {shell_word(run.path)}"
        )
    return report, result


def _converted(
    saved: SavedClassifier, formats: Sequence[str], manifest: Manifest
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return the files of the formats by name, and what ``config.json`` records of them."""
    from synaug.training import pixels
    from synaug.training.networks import NOTE, convert, timm_config

    if not formats:
        return {}, {}
    test = manifest.split("test")
    rows = np.unique(np.linspace(0, len(test) - 1, min(COMPARED, len(test))).astype(int))
    channels, height, width = saved.image_shape
    images = [pixels(read_image(test, int(row)), channels=channels, size=(width, height)) for row in rows]
    noise = np.random.default_rng(0).integers(0, 256, (2, channels, height, width), dtype=np.uint8)
    found = convert(saved, formats, np.stack([*images, *noise]))
    about = {
        name: {"file": each.file, "max_difference": each.max_difference, "num_compared": len(images) + len(noise)}
        for name, each in found.items()
    }
    config: dict[str, Any] = {"formats": about, "input": NOTE}
    if "timm" in found:
        config |= timm_config(saved)
    return {each.file: each.data for each in found.values()}, config


def _holds(out: Path, digests: dict[str, str]) -> bool:
    """Return whether a folder is an exported classifier with exactly these files."""
    if kind_of(out) != "classifier":
        return False
    directories.own(out)
    return not changed_files((out / name, sha256) for name, sha256 in digests.items())


def model_card(report: Report, result: Result, config: dict[str, Any], *, license: str) -> str:
    """Return the card of a classifier; all numbers come from the report."""
    scores = ((name, number_or_nan(result.get(name))) for name in METRICS)
    measured = {name: value for name, value in scores if not math.isnan(value)}
    name = f"{report['name']} {result['method']}"
    data = {"type": "image-classification", "name": one_line(report["name"]), "split": "test"}
    head = {
        "license": license,
        "library_name": "synaug",
        "pipeline_tag": "image-classification",
        "tags": ["synaug", "synthetic", "long-tail"],
        "model-index": [
            {
                "name": one_line(name),
                "results": [
                    {
                        "task": {"type": "image-classification"},
                        "dataset": data,
                        "metrics": [{"type": key, "value": round(value, 4)} for key, value in measured.items()],
                    }
                ],
            }
        ],
    }
    kind = METHODS.get(result["method"])
    sections = [
        f"---\n{yaml.safe_dump(head, allow_unicode=True, sort_keys=False, width=1000)}---\n",
        f"# {markdown(name)}\n",
        f"A {markdown(config['network'])} that distinguishes {len(config['class_names'])} classes: "
        f"{', '.join(map(markdown, config['class_names']))}.\n",
        _method_section(report, result, kind.description if kind else ""),
        _metrics_section(measured),
        _LIMITS,
        _loading(config["network"]),
        *([_formats_section(config["formats"])] if config.get("formats") else []),
    ]
    return "\n".join(sections)


def _loading(network: str) -> str:
    """Return the instructions for loading; a custom network's code must be named."""
    given = f", network={json.dumps(network)}" if ":" in network else ""
    code = f"The code of the network, {markdown_code(network)}, is not in this folder: ask its author.\n"
    return _LOADING.format(network=given) + (code if given else "")


def _formats_section(formats: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["## Other formats", "", "| format | file | largest difference of a probability |", "|---|---|---|"]
    lines += [f"| {name} | `{each['file']}` | {each['max_difference']:.1e} |" for name, each in formats.items()]
    number = next(iter(formats.values()))["num_compared"]
    lines += [
        "",
        f"Compared with the classifier on {number} images. Input of `onnx`, `torchscript`, `torch-export`: `images`, "
        "float32 of shape (N, channels, height, width), values from 0 to 1, not normalized; scale and crop images to a "
        "centered square first. Output: `probabilities`, shape (N, classes). Class names are in the metadata of each "
        "file and in `config.json`.",
    ]
    if "timm" in formats:
        lines.append('With timm: `timm.create_model("local-dir:path/to/this/folder", pretrained=True)`.')
    return "\n".join([*lines, ""])


def _method_section(report: Report, result: Result, description: str) -> str:
    plan = report["plan"]
    class_of = plan.get("class_of", {cell: cell.split(" | ")[0] for cell in plan["num_to_generate"]})
    lines = [
        "## Training",
        "",
        f"- Method: {markdown_code(result['method'])}, seed {result['seed']}"
        f"{f': {markdown(description)}' if description else ''}",
        f"- Data: {markdown(Path(report['data']['source']).name)}, "  # their location is private
        f"{sum(report['data']['class_counts'].values()):,} real training images",
        f"- Synthetic images of the run: {_synthesis(report)}",
        f"- Made by synaug {report['synaug_version']}",
        "",
        "| class | real training images | synthetic planned | recall |",
        "|---|---|---|---|",
    ]  # fmt: skip
    for name, number in report["data"]["class_counts"].items():
        planned = sum(n for cell, n in plan["num_to_generate"].items() if class_of.get(cell, cell) == name)
        lines.append(f"| {markdown(name)} | {number:,} | {planned:,} | {_percent(result['per_class'].get(name))} |")
    return "\n".join([*lines, ""])


def _synthesis(report: Report) -> str:
    plan, synthesis = report["plan"], report["synthesis"]
    num_rejected = sum(synthesis["rejected"].values())
    if not synthesis["accepted"] and not num_rejected:
        return "none"
    return (
        f"{synthesis['accepted']:,} accepted, {num_rejected:,} rejected, "
        f"by {markdown_code(portable_name(plan['model']))}, prompted with {markdown_code(plan['template'])}; "
        "that model's terms apply too"
    )


def _metrics_section(measured: dict[str, float]) -> str:
    lines = ["## Measured on real test images", "", "| metric | value |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {_percent(value)} |" for name, value in measured.items()]
    return "\n".join([*lines, ""])


def _percent(value: object) -> str:
    return f"{value:.1%}" if isinstance(value, int | float) and not math.isnan(value) else "n/a"


_LIMITS = """## Limits

The classifier assigns one of the classes above to every image, whatever it shows. The numbers hold for images like the
test images. If the classes that it learned from synthetic images look different in your data, measure again. Do not
rely on predictions of classes with a low recall above.
"""
_LOADING = """## Use

```python
import synaug

classifier = synaug.load_classifier("path/to/this/folder"{network})
print(classifier.predict(["photo.jpg"]))
```

`config.json` has the class names, image shape and normalization; `classifier.safetensors` has the weights and the same.
"""
