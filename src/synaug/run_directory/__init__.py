"""One run directory: its paths, its lock file, and ``Run``, which is opened once and passed on."""

from synaug.run_directory.admission import write_lock
from synaug.run_directory.lock_file import (
    check_recorded,
    locked_model,
    locked_recipe,
    read_lock,
    replace_recipe,
    write_files,
    write_model,
    write_networks,
)
from synaug.run_directory.option_changes import (
    TRAINING_ENVIRONMENT,
    change_generation,
    change_training,
    changed_options,
    trained_methods,
)
from synaug.run_directory.paths import CHECKPOINT_FILES, RunPaths, check_regular, foreign_files, method_and_seed
from synaug.run_directory.run import Run, replace_plan, run_name
from synaug.run_directory.stored_tables import read_table

__all__ = [
    "CHECKPOINT_FILES",
    "TRAINING_ENVIRONMENT",
    "Run",
    "RunPaths",
    "change_generation",
    "change_training",
    "changed_options",
    "check_recorded",
    "check_regular",
    "foreign_files",
    "locked_model",
    "locked_recipe",
    "method_and_seed",
    "read_lock",
    "read_table",
    "replace_plan",
    "replace_recipe",
    "run_name",
    "trained_methods",
    "write_files",
    "write_lock",
    "write_model",
    "write_networks",
]
