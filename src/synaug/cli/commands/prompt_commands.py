"""Define the command that shows, exports and writes prompts: prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synaug.cli.printing import print_json
from synaug.cli.session import named_code, options_of, session, warn
from synaug.cli.shared_options import (
    Aliases,
    Attribute,
    By,
    Json,
    Label,
    PathColumn,
    RecipeFile,
    Seed,
    Settings,
    SplitColumn,
    Trust,
)
from synaug.errors import OptionError


def prompts(
    source: Annotated[
        Path, typer.Argument(metavar="RUN|DATA", help="Run directory; with --writer, images to write prompts for.")
    ],
    export: Annotated[
        bool, typer.Option("--export", help="Write the prompts of the run to --out, to edit and to pass to --prompts.")
    ] = False,
    writer: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Let a language model write the prompts: a folder, a Hub id, openai:MODEL, or a model of --endpoint.",
        ),
    ] = None,
    per_class: Annotated[int, typer.Option(min=1, max=10_000, help="Prompts per class (or group) by --writer.")] = 50,
    spread: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=A|B", help="Phrases that prompts take in turn, such as 'background=on land|on water'."
        ),
    ] = None,
    describe: Annotated[
        int,
        typer.Option(
            min=0, max=16, help="Show the model this many training images per class first; a service receives them."
        ),
    ] = 0,
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Address of the service of --writer, such as http://127.0.0.1:11434/v1.",
            show_default="OpenAI's for openai:MODEL",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="New prompts file: .csv, .tsv or .jsonl.")] = Path("prompts.csv"),
    by: By = None,
    label: Label = None,
    attribute: Attribute = None,
    split_column: SplitColumn = None,
    path: PathColumn = None,
    recipe: RecipeFile = None,
    aliases: Aliases = None,
    seed: Seed = None,
    settings: Settings = None,
    trust: Trust = None,
    as_json: Json = False,
) -> None:
    """Show or export prompts, or let a language model write them.

    The key of a service is read from the environment (OPENAI_API_KEY).

    Example:  synaug prompts runs/photos --export --out prompts.csv

    Example:  synaug prompts photos/ --writer MODEL --per-class 50 --spread "background=on land|on water"

    Example:  synaug prompts photos/ --writer qwen3 --endpoint http://127.0.0.1:11434/v1
    """
    from synaug.pipeline import prompts as prompt_stage

    if writer is not None:
        if export:
            raise OptionError("--export writes the prompts of a run, and --writer new ones. Use one of them.")
        options = options_of(
            recipe, aliases=aliases, label=label, attribute=attribute, split_column=split_column, path=path, by=by,
            endpoint=endpoint, seed=seed, settings=[*_spread(spread), *(settings or [])],
        )  # fmt: skip
        with session(trust=named_code(trust, endpoint=endpoint)) as progress:
            content = prompt_stage.write_prompt_file(
                source, out, options, model=writer, per_class=per_class, describe=describe, progress=progress
            )
        _show_writing(content, out, per_class, as_json=as_json)
    elif export:
        _export(source, out, as_json=as_json)
    else:
        _count(source, as_json=as_json)


def _show_writing(content: dict[str, Any], out: Path, per_class: int, *, as_json: bool) -> None:
    from synaug.cli.printing import prompt_tables
    from synaug.pipeline.prompts import check_written

    if as_json:
        print_json(content)
    else:
        prompt_tables.show_writing(content, out)
    for name, number in content["missing"].items():
        warn(f"{name}: {number:,} of {per_class:,} prompts are missing; the model wrote no more usable ones.")
    check_written(content)


def _export(source: Path, out: Path, *, as_json: bool) -> None:
    from synaug.cli.printing import prompt_tables
    from synaug.pipeline.prompts import export_prompts
    from synaug.run_directory import Run

    number = export_prompts(Run.open(source), out)
    if as_json:
        print_json({"prompts": number, "file": str(out)})
    else:
        prompt_tables.show_prompt_file(number, out)


def _count(source: Path, *, as_json: bool) -> None:
    from synaug.cli.printing import prompt_tables
    from synaug.pipeline.prompts import count_prompts
    from synaug.run_directory import Run

    counts = count_prompts(Run.open(source))
    if as_json:
        print_json(counts)
    else:
        prompt_tables.show_prompt_counts(counts)


def _spread(pairs: list[str] | None) -> list[str]:
    """Return the settings of ``NAME=A|B``.

    Raises:
        OptionError: a pair has no name or no phrases.
    """
    import json

    found: dict[str, list[str]] = {}
    for pair in pairs or ():
        name, _, phrases = pair.partition("=")
        found[name.strip()] = [phrase.strip() for phrase in phrases.split("|") if phrase.strip()]
        if not name.strip() or not found[name.strip()]:
            raise OptionError(f"--spread takes NAME=PHRASE|PHRASE, such as background=on land|on water; got {pair!r}.")
    return [f"plan.spread={json.dumps(found)}"] if found else []
