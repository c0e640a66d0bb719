"""The rows and tables that the parts of the HTML report consist of; ``sections`` fills them, the page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from markupsafe import Markup
from PIL import Image

Ends = Sequence[float | None]  # of a 95 % interval
Cell = tuple[float | None, float | None, Ends]  # mean, standard deviation, ends of the interval


class Fact(TypedDict):
    """A large number at the top of the page."""

    value: str
    label: str
    was: str


class RecallRow(TypedDict):
    """The recall of a class before and after; NaN if unknown."""

    name: str
    count: int | None
    tested: int | None
    before: float
    after: float
    change: str
    interval: Ends | None
    is_loss: bool
    picture: Markup


class CountRow(TypedDict):
    """The real and synthetic images of a class."""

    name: str
    real: int
    synthetic: int
    picture: Markup


class GalleryRow(TypedDict):
    """Example images of a class; the synthetic ones with prompts, the rejected ones with reasons."""

    name: str
    count: int | None
    num_wanted: int
    real: list[Image.Image]
    synthetic: list[tuple[Image.Image, str]]
    prompts: list[str]
    rejected: list[tuple[Image.Image, str]]


class RejectionRow(TypedDict):
    """A rejection reason, its share of the generated images, and the classes that it affected most."""

    reason: str
    count: int
    share: float
    classes: list[tuple[str, int]]


class ConfusionTable(TypedDict):
    """The confusions of a method as shares of each class; ``rows`` is empty for many classes."""

    title: str
    names: list[str]
    rows: list[tuple[str, list[float]]]
    pairs: Sequence[Sequence[str | int | float]]


class GroupTables(TypedDict):
    """Accuracy by group and the measures between groups, with one cell per method."""

    note: str
    per_group: list[tuple[str, list[Cell]]]
    fairness: list[tuple[str, list[Cell]]]


class AllGroupTables(GroupTables):
    """The tables of all groups, and those of each single attribute."""

    titles: list[str]
    single: list[tuple[str, GroupTables]]


class LightRow(TypedDict):
    """The traffic light over all synthetic images; empty values if there is none."""

    color: str | None
    sentence: str | None
    usable: bool
    features: str | None
    cannot_judge: str


class FoldsRow(TypedDict):
    """A method in the table of the cross-validation: its scores with spread and interval."""

    title: str
    uses_synthetic: bool
    cells: list[tuple[str, Ends]]
