"""Options of the section ``data``: how the images are read."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from synaug.config.section import Section


class DataOptions(Section):
    """How the images are read."""

    label: str | None = Field(None, description="label column of a table")
    path: str | None = Field(None, description="path column of a table; default: image, path, file_name, ...")
    attribute: str | None = Field(
        None, description="attribute column of a table; several joined by commas: each alone and their combinations"
    )
    split: str | None = Field(None, description="split column of a table")
    group: str | None = Field(
        None, description="column of a table whose values stay in one split, such as patient, person or video"
    )
    layout: Literal["auto", "classes", "splits"] = Field(
        "auto", description="what the top folders are; auto recognizes splits, parts and a folder around the classes"
    )
    splits: dict[str, Literal["train", "validation", "test", "none"]] = Field(
        {}, description="split of each folder name or value of a split column; none excludes them"
    )
    duplicates: Literal["warn", "drop", "error"] = Field(
        "warn",
        description="training images that are (nearly) equal to held-out images or to images of another class: "
        "report them, drop them, or stop",
    )
    near_duplicates: bool = Field(True, description="also search for nearly equal images, not only for identical ones")
    incomplete_classes: Literal["error", "drop"] = Field(
        "error", description="classes without training or test images: stop, or drop them"
    )
    benchmark: str | None = Field(None, description="treat the data as this known data set; see 'synaug datasets'")
    imbalance_factor: float | None = Field(
        None, ge=1, description="largest / smallest class drawn from CIFAR; default: 100"
    )
    lists: str | None = Field(None, description="folder with the list files of ImageNet-LT; default: the images'")
    partial: bool = Field(False, description="accept an incomplete data set")
    subset: str | None = Field(None, description="configuration of a data set on the Hub that has several")
    test_fraction: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="share of each class that is held out for testing if the data have no test split",
    )
    max_unreadable: float = Field(0.01, ge=0, le=1, description="largest share of unreadable images; more are an error")
    accept_changed: bool = Field(
        False, description="use an exported set or a manifest as it is now, although files differ from their digests"
    )
