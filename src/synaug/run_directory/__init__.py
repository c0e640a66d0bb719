"""One run directory: its paths, its lock file, and ``Run``, which is opened once and passed on."""

from synaug.run_directory.lock_file import (
    change_training,
    changed_options,
    check_recorded,
    locked_model,
    locked_recipe,
    read_lock,
    replace_recipe,
    write_files,
    write_lock,
    write_model,
    write_networks,
)
from synaug.run_directory.paths import CHECKPOINT_FILES, RunPaths, check_regular, foreign_files, method_and_seed
from synaug.run_directory.run import Run, change_model, run_name

__all__ = [
    "CHECKPOINT_FILES",
    "Run",
    "RunPaths",
    "change_model",
    "change_training",
    "changed_options",
    "check_recorded",
    "check_regular",
    "foreign_files",
    "locked_model",
    "locked_recipe",
    "method_and_seed",
    "read_lock",
    "replace_recipe",
    "run_name",
    "write_files",
    "write_lock",
    "write_model",
    "write_networks",
]
