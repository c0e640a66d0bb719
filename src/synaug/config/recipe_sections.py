"""List the sections of a recipe, the sum of all options."""

from __future__ import annotations

from pydantic import Field

from synaug.config.bench_options import BenchOptions
from synaug.config.data_options import DataOptions
from synaug.config.generate_options import ApiOptions, FitOptions, GenerateOptions
from synaug.config.method_options import MethodOptions
from synaug.config.plan_options import PlanOptions
from synaug.config.quality_options import QualityOptions
from synaug.config.section import MAX_SEED, Section
from synaug.config.selection_options import ChooseOptions, CrossValidateOptions
from synaug.config.train_options import TrainOptions

UNNAMED = "custom"


class Recipe(Section):
    """One experiment: every option that affects its result."""

    name: str = Field(UNNAMED, description="name of the experiment in reports; default: name of the run directory")
    data: DataOptions = DataOptions()
    plan: PlanOptions = PlanOptions()
    api: ApiOptions = ApiOptions()
    generate: GenerateOptions = GenerateOptions()
    fit: FitOptions = FitOptions()
    quality: QualityOptions = QualityOptions()
    train: TrainOptions = TrainOptions()
    methods: dict[str, MethodOptions] = Field(
        {}, description="options of single methods, such as the tuned weight decay of a baseline"
    )
    choose: ChooseOptions = ChooseOptions()
    cross_validate: CrossValidateOptions = CrossValidateOptions()
    seed: int = Field(0, ge=0, le=MAX_SEED, description="random seed")
    bench: BenchOptions | None = Field(None, description="experiment grid for synaug bench")
