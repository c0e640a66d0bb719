"""Run experiments with several arms, methods and seeds in one folder; interrupted ones resume."""

from synaug.bench.experiments import QUESTIONS, experiment_names, read_experiment
from synaug.bench.grid import collect, run_bench, status
from synaug.bench.result_tables import markdown, table, tabulate
from synaug.bench.table_formats import formatted

__all__ = [
    "QUESTIONS",
    "collect",
    "experiment_names",
    "formatted",
    "markdown",
    "read_experiment",
    "run_bench",
    "status",
    "table",
    "tabulate",
]
