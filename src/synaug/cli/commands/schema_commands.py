"""Define the command that prints the format of a file that synaug reads or writes: schema."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from synaug.cli.printing import print_json
from synaug.cli.shared_options import Json


class File(StrEnum):
    """The files with a schema."""

    RECIPE = "recipe"
    REPORT = "report"


def schema(
    file: Annotated[File, typer.Argument(metavar="FILE", help="recipe (the YAML file) or report (report.json).")],
    as_json: Json = False,  # the schema is JSON in any case; every command accepts the option
) -> None:
    """Print the JSON schema of a recipe or of report.json.

    Editors use it to complete and check recipes: save it as synaug.schema.json and start the recipe with the line
    '# yaml-language-server: $schema=synaug.schema.json'.

    Example:  synaug schema recipe > synaug.schema.json
    """
    print_json(content_of(file))


def content_of(file: File) -> dict[str, object]:
    """Return the JSON schema of a file."""
    if file is File.RECIPE:
        from synaug.config import Recipe

        return Recipe.model_json_schema()
    from synaug.schemas import report_schema

    return report_schema()
