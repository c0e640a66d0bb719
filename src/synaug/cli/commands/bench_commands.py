"""Define the command for experiments over several seeds: bench."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from synaug.cli.printing import print_json, print_text
from synaug.cli.session import session
from synaug.cli.shared_options import Json, Trust
from synaug.errors import OptionError, unknown


def bench(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of an experiment, or a recipe file.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Images, for an experiment on real data.")] = None,
    out: Annotated[Path | None, typer.Option(help="Output directory.", show_default="runs/bench-NAME")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Run the smaller grid.")] = False,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Number of seeds, counting up from 0.", show_default="3; with --quick 1")
    ] = None,
    arms: Annotated[str | None, typer.Option(help="Comma-separated arms to run.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Number of parallel processes.")] = 1,
    known: Annotated[bool, typer.Option("--list", help="List the experiments, or the arms and rows of NAME.")] = False,
    progress_only: Annotated[
        bool, typer.Option("--status", help="Print the progress without running anything.")
    ] = False,
    table_only: Annotated[
        bool, typer.Option("--table", help="Print the table of finished runs without running anything.")
    ] = False,
    table_format: Annotated[
        str, typer.Option("--format", help="Format of the printed table: markdown, latex (booktabs) or csv.")
    ] = "markdown",
    trust: Trust = None,
    as_json: Json = False,
) -> None:
    """Run an experiment over several seeds and print its table.

    Finished runs are skipped, so you can interrupt and rerun safely.

    Example:  synaug bench --list

    Example:  synaug bench demo --seeds 3

    Example:  synaug bench demo --table --format latex
    """
    from synaug.bench import collect, experiment_names, read_experiment, run_bench
    from synaug.bench import status as grid_status
    from synaug.bench.experiments import PHOTOS
    from synaug.bench.table_formats import FORMATS, formatted
    from synaug.cli.printing import console

    if table_format not in FORMATS:
        raise unknown("format", table_format, FORMATS)
    if name is None:
        if not known:
            raise OptionError(f"Name an experiment: {', '.join(experiment_names())}, or a recipe file.")
        _list_experiments(as_json=as_json)
        return
    if name == PHOTOS:
        if table_format != "markdown":
            raise OptionError(f"The table of {PHOTOS} is printed as markdown only; --json has its numbers.")
        _bench_photographs(seeds or (1 if quick else 3), known=known, as_json=as_json)
        return
    chosen = read_experiment(name, data=data, quick=quick, arms=arms.split(",") if arms else ())
    folder = out or Path("runs") / f"bench-{Path(name).stem}{'-quick' if quick else ''}"
    numbers = range(seeds or (1 if quick else 3))
    if known:
        _list_rows({arm: options.methods for arm, options in chosen.arms.items()}, as_json=as_json)
        return
    if progress_only:
        cells = grid_status(chosen, folder, seeds=numbers)
        if as_json:
            print_json(cells)
        else:
            console.show_grid(cells)
        return
    if table_only:
        content = collect(chosen, folder, numbers) if folder.is_dir() else {"table": []}
        if not content["table"]:
            raise OptionError(f"{folder} has no results yet. Run without --table first, or name another with --out.")
    else:
        with session(trust=trust) as progress:
            content = run_bench(chosen, folder, seeds=numbers, jobs=jobs, progress=progress)
    if as_json:
        print_json(content)
    else:
        text = formatted(content, table_format)
        print_text(text.rstrip("\n") if table_format == "csv" else text)


def _list_experiments(*, as_json: bool) -> None:
    """Print the names of the experiments, each with its question."""
    from synaug.bench import QUESTIONS, experiment_names

    if as_json:
        print_json(experiment_names())
    else:
        lines = [f"{name:18}{QUESTIONS[name]}" for name in experiment_names()]
        print_text("\n".join([*lines, "Arms and methods of one: synaug bench NAME --list"]))


def _list_rows(arms: Mapping[str, Sequence[str]], *, as_json: bool) -> None:
    """Print the arms of an experiment, each with its rows."""
    if as_json:
        print_json({arm: list(methods) for arm, methods in arms.items()})
    else:
        print_text("\n".join(f"{arm}: {', '.join(methods)}" for arm, methods in arms.items()))


def _bench_photographs(seeds: int, *, known: bool, as_json: bool) -> None:
    """Run the experiment on photographs and pretrained features, which needs no folder."""
    from synaug.bench.photographs import ROWS, markdown_of, run_photographs

    if known:
        _list_rows({"photos": list(ROWS)}, as_json=as_json)
        return
    with session() as progress:
        content = run_photographs(seeds=seeds, progress=progress)
    if as_json:
        print_json(content)
    else:
        print_text(markdown_of(content))
