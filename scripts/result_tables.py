"""Rewrite the tables of docs/results from the committed result lines beside the pages.

python scripts/result_tables.py

A table is between ``<!-- table NAME -->`` and ``<!-- /table -->``. Words after the name select its content:
``arms=a,b`` the rows of these arms, ``rows=a,b`` these rows in this order, ``columns=a,b`` these columns.
"""

import re
from pathlib import Path
from typing import Any

from synaug.bench import markdown, read_experiment, table
from synaug.runtime import storage

FOLDER = Path(__file__).parents[1] / "docs" / "results"
PLACE = re.compile(r"(<!-- table ([^>]*?) -->\n).*?(<!-- /table -->)", re.DOTALL)


def content_of(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Return the output of ``synaug bench NAME --table --json`` for the committed lines."""
    experiment = read_experiment(name)
    lines = list(storage.read_records(folder / f"{name.replace('-', '_')}.jsonl"))
    return {
        "columns": list(experiment.bench.columns),
        "seeds": sorted({line["seed"] for line in lines}),
        "machine": ", ".join(sorted({line["machine"] for line in lines})),
        "results": lines,
        "table": table(lines, experiment),
    }


def written(wanted: str, folder: Path = FOLDER) -> str:
    """Return the table selected by the words of a mark, as Markdown."""
    name, *words = wanted.split()
    chosen = {key: value.split(",") for key, value in (word.split("=") for word in words)}
    content = content_of(name, folder)
    rows = content["table"]
    if "arms" in chosen:
        rows = [row for row in rows if row["arm"] in chosen["arms"]]
    if "rows" in chosen:
        by_name = {row["row"].replace(" ", "_"): row for row in rows}
        rows = [by_name[each] for each in chosen["rows"]]
    return markdown(content | {"table": rows, "columns": chosen.get("columns", content["columns"])})


def renewed(page: str, folder: Path = FOLDER) -> str:
    """Return the text of a page with all of its tables updated from the result lines."""
    return PLACE.sub(lambda found: f"{found[1]}\n{written(found[2], folder)}\n{found[3]}", page)


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.md")):
        before = path.read_text(encoding="utf-8")
        if (after := renewed(before)) != before:
            storage.write_text(path, after)
            print(f"{path.name}: tables written")
