"""The content that commands print with ``--json``: ``plan``, ``status``, ``doctor``, ``try``, ``check``, ``review``."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from synaug.schemas.data import Account, Counts
from synaug.schemas.report_file import Plan, Review


class Speed(TypedDict):
    """The speed of a model on this machine, and the hours of a GPU that a plan needs; None if not measured."""

    images_per_second: float | None
    gpu_hours: float | None


class Estimate(Speed):
    """The cost of a plan; unmeasured values are None."""

    images: int
    disk_bytes: int
    seconds: float | None


class PromptCounts(TypedDict):
    """The prompts of a class or group: how many, and those that are too long or equal."""

    prompts: int
    too_long: list[str] | None
    num_too_long: int | None
    equal: list[str]
    num_equal: int
    spread: NotRequired[dict[str, dict[str, int]]]


class PlanSummary(Plan):
    """The facts about a plan that users should see before paying for it."""

    scorer: str
    cannot_judge: dict[str, int]
    have: dict[str, int]
    test_images: int
    validation_images: int
    data: Account
    estimate: Estimate
    license: str | None
    cost: float | None
    price: float
    max_cost: float | None
    doubtful_names: list[str]
    model_note: str
    amount_note: str
    long_prompts: list[str]
    prompts_file: str | None
    prompt_counts: dict[str, PromptCounts]
    spread: dict[str, dict[str, dict[str, int]]]


class ChoosingPreview(TypedDict):
    """How the classifier will be chosen; without folds, on the validation images."""

    candidates: int
    folds: int | None
    seconds: float | None


class FoldsPreview(TypedDict):
    """The folds of the cross-validation, 0: none, and about how long it takes, None: not known."""

    folds: int
    seconds: float | None


class RunPreview(PlanSummary):
    """The images that a whole run would generate, and its trainings."""

    methods: list[str]
    num_seeds: int
    network: str
    image_size: int
    length: str
    start: str
    pretrained: bool
    device: str
    training_seconds: float | None
    finalist_seconds: float | None
    choosing: ChoosingPreview
    cross_validation: FoldsPreview


class ImagesStatus(TypedDict):
    """How many images a run has, and when it will have all of them; NaN: not known."""

    planned: int
    accepted: int
    rejected: int
    per_second: float
    seconds_left: float


class TrainingStatus(TypedDict):
    """The training in progress, as of its last checkpoint."""

    method: str
    seed: int
    steps: int
    done: int
    per_second: float
    seconds_left: float


class Status(TypedDict):
    """The stage of a run, its images and results, and the processes working on it."""

    stage: str
    model: str
    images: ImagesStatus
    seeds: list[int]
    training: TrainingStatus | None
    results: dict[str, float | None]
    report: str | None
    held_by: dict[str, int]


class DuplicateCounts(TypedDict):
    """How many images repeat others, per kind."""

    exact: int
    near: int
    across_splits: int
    contradictory: int


class Layout(TypedDict):
    """How the images are divided."""

    train: int
    validation: int
    test: int
    synthetic: int
    attributes: list[str]
    quarantined: int


class LabelSuspect(TypedDict):
    """An image whose label looks wrong to a model that has not seen it."""

    path: str
    label: str
    likelier: str
    probability: float


class Baseline(TypedDict):
    """A baseline on frozen features, and how many images it was judged on."""

    network: str | None
    num_images: int
    mean_recall: float | None


class ClassFinding(TypedDict):
    """A class: its images, its recall with a quarter, half and all of them, and whether more would help."""

    images: int
    recalls: list[float]
    verdict: str


class DeviceSpeed(TypedDict):
    """The device, and the images per second of the baseline's network on it."""

    name: str
    images_per_second: float


class Examination(TypedDict):
    """The findings of ``doctor`` about a data set."""

    counts: Counts
    layout: Layout
    duplicates: DuplicateCounts
    label_suspects: list[LabelSuspect]
    baseline: Baseline
    classes: dict[str, ClassFinding]
    device: DeviceSpeed
    images_to_make: int
    findings: NotRequired[list[str]]
    next: NotRequired[str]
    without_model: NotRequired[str]
    seconds: NotRequired[float]


class TriedClass(TypedDict):
    """A class in ``try``: its traffic light, how many of its images were recognized, and the best prompt."""

    light: str
    recognized: int | None
    of: int
    best_prompt: str | None
    rejected: dict[str, int]


class ServiceCost(TypedDict):
    """The price per image, the cost of the images that are not paid for yet, the amount spent, and the budget."""

    price: float
    images: float
    spent: float
    budget: float | None


class TrialPreview(TypedDict):
    """The images that ``try`` would generate; ``cost`` is None without a service."""

    model: str
    images: int
    cost: ServiceCost | None
    out: str


class Trial(TypedDict):
    """The images of ``try``, the page that shows them, and the cost of a service so far."""

    model: str
    classes: dict[str, TriedClass]
    page: str
    spent: float | None


class Check(TypedDict):
    """The images that fail the gates, by reason and by class."""

    checked: int
    rejected: dict[str, int]
    rejected_by_class: dict[str, dict[str, int]]


class ReviewFiles(TypedDict):
    """The contact sheets and the table for manual review."""

    page: str
    decisions: str
    sheets: list[str]
    shown: int
    pending: int


class ReadRows(TypedDict):
    """The rows of a table of decisions."""

    read: int
    decided: int
    applied: int
    unknown: int


class Applied(TypedDict):
    """The effect of the decisions of a review."""

    rows: ReadRows
    accepted: int
    rejected: int
    review: Review
    to_make: int
