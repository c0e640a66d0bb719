"""Define a method: one row of the results table."""

from __future__ import annotations

from dataclasses import dataclass

OWN = "own"  # instead of a method that predicts the attribute
LONG_TAIL, GROUPS = "long_tail", "groups"  # problems

Changes = tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Method:
    """One way to turn images into a classifier.

    Attributes:
        description: one sentence for the report.
        data: training data of stage 1: ``real`` or ``evened_out`` (real and synthetic).
        stage1: options that differ from the recipe's ``train.stage1``.
        schedule: the schedule of stage 1, a name of ``training.schedules.SCHEDULES``.
        starts_from: the method whose features are kept while the classifier is retrained; None trains stage 1.
        retrain: options that differ from the recipe's ``train.retrain``.
        groups_from: the method whose features predict missing attributes, or ``OWN``: the images of a class without an
            attribute form their own group. Requires groups.
        judged_from: the method of real images whose features judge how well each synthetic image fits its class.
        judged_by: effect of the judgment: ``filter`` drops synthetic images that do not fit, ``weight`` weights them,
            ``feedback`` keeps a quarter of them.
        is_bound: whether it needs images that users do not have, so that it is no rival and never recommended.
        problem: its purpose: ``LONG_TAIL``, ``GROUPS`` (fairness and spurious correlation), or None for both.
    """

    description: str
    data: str = "real"
    stage1: Changes = ()
    schedule: str = "usual"
    starts_from: str | None = None
    retrain: Changes = ()
    groups_from: str | None = None
    judged_from: str | None = None
    judged_by: str = "filter"
    is_bound: bool = False
    problem: str | None = None

    @property
    def uses_synthetic(self) -> bool:
        """Whether any part of it is trained on synthetic images."""
        return self.data == "evened_out"

    @property
    def needs_groups(self) -> bool:
        """Whether it requires an attribute."""
        return self.groups_from is not None or dict(self.retrain).get("data") == "group_balanced_real"

    @property
    def needs_validation(self) -> bool:
        """Whether it is trained on a validation split."""
        return dict(self.retrain).get("data") == "validation"

    @property
    def needs_pretrained(self) -> bool:
        """Whether it is meaningless without pretrained weights."""
        return self.schedule in ("frozen", "fine_tune") or self.starts_from == "pretrained_features"

    @property
    def is_general(self) -> bool:
        """Whether it works with any data: no bound, and no attribute, validation split or weights needed."""
        needs = self.needs_groups or self.needs_validation or self.needs_pretrained
        return not (needs or self.is_bound)
