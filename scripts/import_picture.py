"""Draw the imports of the package as SVG: one band per layer, one arrow per import."""

import ast
import graphlib
import html
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "synaug"
TITLES = {
    "errors": "foundation",
    "data": "images",
    "synthesis": "four siblings",
    "run_directory": "one run",
    "experiment": "the whole",
    "cli": "command line",
}
"""The first package of each band, from the bottom up, and the band's title; a band extends to the next entry."""
WIDTH, ROW, BOX, GAP, LEFT, ASIDE = 760, 62, 34, 36, 170, 60


def layers():
    """Return the packages of each band, lowest first: import-linter's layers, from pyproject.toml."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    contract = next(each for each in contracts if each["containers"] == ["synaug"])
    bands = []
    for layer in reversed(contract["layers"]):
        parts = [part.strip() for part in layer.split("|")]
        if TITLES.keys() & parts:
            bands.append([])
        bands[-1] += parts
    bands[-1] += ["__init__", "__main__"]
    return [sorted(band) for band in bands]


def imports():
    """Return the parts that each part of the package imports; a part is a module or a folder."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        others = set(imported_by(ast.parse(path.read_text(encoding="utf-8"))))
        found.setdefault(part, set()).update(others - {part})
    return found


def imported_by(tree):
    """Yield the part named by each import of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "synaug":
            yield from node.module.split(".")[1:2] or [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("synaug."))


def without_detours(graph):
    """Return the imports that no other import implies: A to C is left out if A imports B and B reaches C.

    Raises:
        graphlib.CycleError: parts import one another.

    >>> without_detours({"a": {"b", "c"}, "b": {"c"}, "c": set()})
    [('a', 'b'), ('b', 'c')]
    """
    reached = {}
    for part in graphlib.TopologicalSorter(graph).static_order():
        direct = graph.get(part, set())
        reached[part] = direct.union(*(reached[other] for other in direct))
    return sorted(
        (part, other)
        for part, direct in graph.items()
        for other in direct
        if not any(other in reached[between] for between in direct)
    )


def rows(graph, bands):
    """Return the parts of each row, lowest first, and the number of rows of each band; arrows lead to lower rows."""
    level, drawn, heights = {}, [], []
    for band in bands:
        first = len(drawn)
        for part in graphlib.TopologicalSorter({each: graph[each] & set(band) for each in band}).static_order():
            level[part] = max([first, *(level[other] + 1 for other in graph[part] if other in level)])
        last = max(level[part] for part in band)
        drawn += [[part for part in band if level[part] == row] for row in range(first, last + 1)]
        heights.append(last + 1 - first)
    return drawn, heights


def picture():
    """Return the picture as an SVG in the colors of its page."""
    graph, bands = imports(), layers()
    drawn, heights = rows(graph, bands)
    places = {part: place for number, row in enumerate(drawn[::-1]) for part, place in in_row(row, number)}
    arrows = [arrow(places[start], places[end]) for start, end in without_detours(graph)]
    boxes = [box(part, *place) for part, place in places.items()]
    described = "; ".join(f"{title}: {', '.join(band)}" for title, band in zip(TITLES.values(), bands, strict=True))
    return "\n".join(
        [
            '<div class="imports">',
            f'<svg viewBox="0 0 {WIDTH} {ROW * len(drawn)}" role="img" aria-label="{html.escape(described)}">',
            *bands_behind(heights[::-1]),
            *arrows,
            *boxes,
            "</svg>",
            "</div>",
        ]
    )


def bands_behind(heights):
    """Yield a band and a title for each layer, from the top."""
    top = 0
    for number, (title, height) in enumerate(zip(reversed(TITLES.values()), heights, strict=True)):
        yield f'<rect class="band{number % 2}" x="0" y="{top}" width="{WIDTH}" height="{height * ROW}"/>'
        yield f'<text class="layer" x="12" y="{top + height * ROW / 2 + 5:.0f}">{title}</text>'
        top += height * ROW


def in_row(row, number):
    """Yield (part, (x, y, width)) for a row of boxes as wide as their names, alternating left and right."""
    widths = [9 * len(part) + 24 for part in row]
    left = LEFT + (WIDTH - LEFT - sum(widths) - GAP * (len(row) - 1)) / 2 + (ASIDE if number % 2 else -ASIDE)
    for part, width in zip(row, widths, strict=True):
        yield part, (left, number * ROW + (ROW - BOX) / 2, width)
        left += width + GAP


def box(part, x, y, width):
    """Return the box of a part."""
    return (
        f'<rect class="part" x="{x:.0f}" y="{y:.0f}" width="{width}" height="{BOX}" rx="6"/>'
        f'<text x="{x + width / 2:.0f}" y="{y + BOX / 2 + 5:.0f}" text-anchor="middle">{part}</text>'
    )


def arrow(start, end):
    """Return the line from the bottom of one box to the top of a lower one."""
    x, y, to, down = start[0] + start[2] / 2, start[1] + BOX, end[0] + end[2] / 2, end[1]
    bend = (down - y) / 2
    return f'<path d="M{x:.0f} {y:.0f} C{x:.0f} {y + bend:.0f} {to:.0f} {down - bend:.0f} {to:.0f} {down:.0f}"/>'
