"""Hand the images of a run to another tool for review, and take the decisions made there into the table of the run.

Each file names images by their path in the run directory, or by their id, and holds the decisions and scores of the
gates. Label Studio gets tasks with predictions, CVAT an annotation file with tags, FiftyOne a data set in its JSON
format.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from PIL import Image

from synaug.errors import DataError, unknown
from synaug.pipeline.review.review_session import ReviewImage, ReviewSession
from synaug.report import reason_text
from synaug.run_directory import Run
from synaug.runtime import storage
from synaug.runtime.files import directories
from synaug.runtime.security import visible
from synaug.synthesis.execution import ACCEPT, REJECT
from synaug.synthesis.execution.review_decisions import FOLDER

ID = "synaug_id"
MAX_FILE = 1_000_000_000  # bytes
_CHOICES = {ACCEPT, REJECT}
_LABEL_STUDIO_VIEW = """<View>
  <Image name="image" value="$image"/>
  <Text name="about" value="$about"/>
  <Choices name="decision" toName="image" choice="single">
    <Choice value="accept" hotkey="a"/>
    <Choice value="reject" hotkey="r"/>
  </Choices>
</View>
"""


def write_review_files(run: Run, tool: str) -> dict[str, Any]:
    """Write the files that the tool imports into the folder ``review`` of a run.

    Args:
        run: a run with synthetic images.
        tool: one of ``TOOLS``.

    Returns:
        ``files`` (paths) and ``images`` (their number).

    Raises:
        OptionError: the tool is unknown.
        DataError: there are no images yet.
    """
    if tool not in TOOLS:
        raise unknown("tool", tool, TOOLS)
    session = ReviewSession(run)
    folder = storage.make_folder(run.path / FOLDER)
    files = TOOLS[tool](session, run.path)
    for name, text in files.items():
        storage.write_text(folder / name, text)
    return {"files": [str(folder / name) for name in files], "images": len(session.images)}


def read_review_file(run: Run, path: Path) -> dict[str, Any]:
    """Take the decisions of an exported file into the table of the run; ``synaug review RUN --apply`` applies them.

    Args:
        run: the run whose images the file decides about.
        path: JSON of Label Studio or FiftyOne, or XML of CVAT.

    Returns:
        ``accepted``, ``rejected`` (decisions in the file), ``unknown`` (images that are not of this run), ``changed``
        (rows of the table).

    Raises:
        DataError: the file cannot be read, or decides about an image twice, and nothing was changed; or an image cannot
            be accepted, and the other decisions are in the table.
    """
    session = ReviewSession(run)
    names = {str(image.path.relative_to(run.path)): image.name for image in session.images}
    names |= {image.name: image.name for image in session.images}
    decisions: dict[str, str] = {}
    num_unknown = 0
    for place, decision in _decisions(path):
        name = names.get(place) or next((names[end] for end in _endings(place) if end in names), None)
        if name is None:
            num_unknown += 1
        elif decisions.setdefault(name, decision) != decision:
            raise DataError(f"{path} both accepts and rejects {name}. Nothing was changed.")
    actions = [
        {"do": "accept" if choice == ACCEPT else "reject", "ids": ids}
        for choice in (REJECT, ACCEPT)
        if (ids := [name for name, decision in decisions.items() if decision == choice])
    ]
    done = session.perform(actions)
    if done["refused"]:
        raise DataError(f"{path}: {done['refused'][0]} The other decisions are in the table.")
    values = list(decisions.values())
    return {
        "accepted": values.count(ACCEPT),
        "rejected": values.count(REJECT),
        "unknown": num_unknown,
        "changed": len(done["changed"]),
    }


def _endings(place: str) -> Iterator[str]:
    """Yield the last three parts of a path: where an image lies in its run, wherever that was when it was written.

    >>> list(_endings("/data/local-files/?d=runs/a/synthetic/bag/x.png"))
    ['synthetic/bag/x.png']
    """
    parts = place.replace("\\", "/").split("/")
    if len(parts) >= 3:
        yield "/".join(parts[-3:])


def _label_studio(session: ReviewSession, out: Path) -> dict[str, str]:
    """Return tasks whose predictions are the decisions of the gates, and the view that shows them."""
    root = out.resolve()
    tasks = []
    for image in session.images:
        place = f"{root.name}/{image.path.relative_to(out)}"
        result = {
            "from_name": "decision", "to_name": "image", "type": "choices",
            "value": {"choices": [ACCEPT if image.is_accepted else REJECT]},
        }  # fmt: skip
        data: dict[str, Any] = {
            "image": f"/data/local-files/?d={quote(place)}",
            ID: image.name,
            "class": session.class_name(image),
            "about": _about(session, image),
        }
        gates = {"model_version": "synaug gates", "result": [result]}
        tasks.append({"data": data | _scores(image), "predictions": [gates]})
    return {"label-studio.json": _json(tasks), "label-studio.xml": _LABEL_STUDIO_VIEW}


def _fiftyone(session: ReviewSession, out: Path) -> dict[str, str]:
    """Return a data set as ``fiftyone.Dataset.from_json`` reads it; paths are relative to the run directory."""
    samples = [
        {
            "filepath": str(image.path.relative_to(out)),
            "tags": ["synthetic"],
            "ground_truth": {"_cls": "Classification", "label": session.class_name(image)},
            "gates": {"_cls": "Classification", "label": ACCEPT if image.is_accepted else REJECT},
            "reason": image.record["reason"] or "",
            "prompt": visible(str(image.record["prompt"])),
            ID: image.name,
            **_scores(image),
        }
        for image in session.images
    ]
    content = {"name": f"synaug-{out.resolve().name}", "media_type": "image", "num_samples": len(samples)}
    return {"fiftyone.json": _json(content | {"samples": samples})}


def _cvat(session: ReviewSession, out: Path) -> dict[str, str]:
    """Return annotations of the format "CVAT for images 1.1": one tag per image, with the scores as attributes."""
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    for number, image in enumerate(session.images):
        with Image.open(image.path) as opened:
            width, height = opened.size
        about = {
            "id": str(number),
            "name": str(image.path.relative_to(out)),
            "width": str(width),
            "height": str(height),
        }
        node = ElementTree.SubElement(root, "image", about)
        tag = ElementTree.SubElement(node, "tag", {"label": ACCEPT if image.is_accepted else REJECT, "source": "auto"})
        facts: dict[str, Any] = {ID: image.name, "class": session.class_name(image)}
        for name, value in (facts | _scores(image)).items():
            ElementTree.SubElement(tag, "attribute", {"name": name}).text = str(value)
    ElementTree.indent(root)
    return {"cvat.xml": ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"}


def _scores(image: ReviewImage) -> dict[str, Any]:
    return {f"score_{name}": value for name, value in storage.without_nan(dict(image.record["scores"])).items()}


def _about(session: ReviewSession, image: ReviewImage) -> str:
    reason = "" if image.is_accepted else f", rejected: {reason_text(image.record['reason'] or '')}"
    return f"{session.class_name(image)}{reason}; {visible(str(image.record['prompt']))}"


def _json(content: Any) -> str:
    return json.dumps(storage.without_nan(content), ensure_ascii=False, indent=1) + "\n"


def _decisions(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the place or id of an image and the decision about it; images without a decision are left out."""
    try:
        data = directories.read_bytes(path, limit=MAX_FILE)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        if data.lstrip()[:1] == b"<":
            yield from _from_cvat(data)
            return
        content = json.loads(data)
        yield from _from_label_studio(content) if isinstance(content, list) else _from_fiftyone(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ElementTree.ParseError) as error:
        raise DataError(
            f"{path} is not an export of Label Studio (JSON), FiftyOne (JSON) or CVAT (XML for images): "
            f"{type(error).__name__}: {error}. Nothing was changed."
        ) from error


def _from_label_studio(tasks: list[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the decisions of people, the last annotation of a task; predictions are the gates' own."""
    for task in tasks:
        data = task["data"]
        done = [each for each in task.get("annotations") or [] if not each.get("was_cancelled")]
        results = done[-1]["result"] if done else []
        for result in results:
            if result["from_name"] == "decision":
                yield str(data.get(ID) or data["image"]), _choice(result["value"]["choices"])


def _from_fiftyone(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for sample in content["samples"]:
        chosen = _CHOICES & set(sample.get("tags") or [])
        if chosen:
            yield str(sample.get(ID) or sample["filepath"]), _choice(sorted(chosen))


def _from_cvat(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the tags of people; one with the source ``auto`` is the gates' own."""
    if b"<!DOCTYPE" in data[:10_000]:
        raise ValueError("it declares a document type, which could contain entities")
    for image in ElementTree.fromstring(data).iter("image"):
        tags = [tag.get("label") for tag in image.iter("tag") if tag.get("source") != "auto"]
        chosen = [label for label in tags if label in _CHOICES]
        if chosen:
            yield str(image.attrib["name"]), _choice(chosen)


def _choice(chosen: list[Any]) -> str:
    if len(set(chosen)) != 1 or chosen[0] not in _CHOICES:
        raise ValueError(f"an image is decided as {', '.join(map(repr, chosen)) or 'nothing'}")
    return str(chosen[0])


TOOLS: dict[str, Callable[[ReviewSession, Path], dict[str, str]]] = {
    "label-studio": _label_studio,
    "fiftyone": _fiftyone,
    "cvat": _cvat,
}
"""The functions that return the import files of a tool: their names and contents."""
