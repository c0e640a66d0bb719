"""Options of the section ``bench``: the grid of an experiment."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from synaug.config.section import Section


class ArmOptions(Section):
    """One source of images and the methods that train on them."""

    methods: tuple[str, ...] = Field((), description="rows of the table, in order")
    options: dict[str, object] = Field({}, description="dotted options of the recipe, such as plan.variant: intra")
    mirror: dict[str, float] = Field({}, description="options of the mirror, such as imbalance_factor: 50")
    validation: bool = Field(False, description="test on the mirror's validation images, to choose options")
    filled: bool = Field(False, description="fill up to the plan's target with other real images: the upper bound")
    one_pool: bool = Field(False, description="all seeds train on the images of the first")


class CurveOptions(Section):
    """One chart of a study: a column of the table plotted against ``x``."""

    label: str = Field(description="what x is")
    x: tuple[float, ...] | tuple[str, ...] = Field(description="one value per row: numbers, or names")
    lines: dict[str, tuple[str, ...]] = Field(description="name of a line -> rows of the table, one per value of x")
    column: str = Field("accuracy", description="column of the table to draw")

    @model_validator(mode="after")
    def _lines_fit(self) -> CurveOptions:
        for name, rows in self.lines.items():
            if len(rows) != len(self.x):
                raise ValueError(f"line {name!r} has {len(rows)} rows, but x has {len(self.x)} values")
        return self


class BenchOptions(Section):
    """A grid of arms, methods and seeds."""

    like: str | None = Field(None, description="experiment whose options are used; 'methods' may extend them")
    mirror: str | None = Field(None, description="fashion_lt, fashion_fair or fashion_spurious; default: DATA")
    arms: dict[str, ArmOptions] = Field({}, description="name -> arm; rows of the first arm are unnamed")
    baseline: str = Field("cross_entropy", description="baseline row of the closed gap")
    bounds: tuple[str, ...] = Field(
        ("upper_bound", "upper_bound_retrained", "upper_bound_mixup"), description="rows it is counted to"
    )
    columns: tuple[str, ...] = Field(
        ("accuracy", "many", "medium", "few", "worst_class", "calibration_error"),
        description="columns of the table; the gap is measured in the first one",
    )
    tuned: dict[str, tuple[str, ...]] = Field(
        {},
        description="row -> candidate rows, of which the one with the best validation score is used; every row "
        "has equally many",
    )
    tuned_by: str = Field("mean_recall", description="validation score used for tuning, such as worst_group_accuracy")
    curves: dict[str, CurveOptions] = Field({}, description="name -> picture of a study")
    quick: dict[str, tuple[str, ...]] = Field({}, description="arm -> methods of the smaller grid")
    quick_options: dict[str, object] = Field({}, description="dotted options of the smaller grid")

    @field_validator("tuned")
    @classmethod
    def _budgets_are_equal(cls, tuned: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        numbers = {name: len(rows) for name, rows in tuned.items()}
        if len(set(numbers.values())) > 1:
            listed = ", ".join(f"{name} {number}" for name, number in numbers.items())
            raise ValueError(f"every row of 'tuned' needs as many candidates as any other, but got {listed}")
        return tuned
