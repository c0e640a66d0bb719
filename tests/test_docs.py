"""Test everything in the documentation that can run: Python blocks, commands, links, recipes, examples."""

import re
import runpy
import shlex
from pathlib import Path
from unittest.mock import patch

import nbformat
import pytest
import typer.main
from markdown.extensions.toc import slugify, unique
from nbclient import NotebookClient

from synaug.cli import app
from synaug.config import Recipe
from synaug.data import readers
from synaug.methods import METHODS
from synaug.recipes import read_recipe
from synaug.runtime.embedded import demo_recipe
from synaug.synthesis.quality.gates import GATES
from synaug.training.last_layer import solvers
from synaug.training.losses import LOSSES
from synaug.training.sampling import SAMPLERS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def blocks(language):
    for page in PAGES:
        found = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.M | re.S)
        for number, text in enumerate(found):
            yield pytest.param(text, id=f"{page.relative_to(ROOT)}-{number}")


def blocks_of(page, languages="python"):
    """Yield (language, text) of the code blocks of a page, in order."""
    yield from re.findall(rf"^```({languages})\n(.*?)^```", page.read_text(), flags=re.M | re.S)


TUTORIALS = sorted(page for page in ROOT.glob("docs/tutorials/*.md") if list(blocks_of(page)))
WITH_PYTHON = [page for page in PAGES if page not in TUTORIALS and list(blocks_of(page))]


@pytest.fixture
def as_before(monkeypatch, tmp_path):
    """Undo a page's additions to the package."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(readers, "_list_folder", readers._list_folder)
    with patch.dict(LOSSES), patch.dict(GATES), patch.dict(METHODS), patch.dict(solvers.METHODS), patch.dict(SAMPLERS):
        yield


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_python_of_a_page_runs(page):
    names = {}
    for _, text in blocks_of(page):
        exec(compile(text, page.name, "exec"), names)


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda p: p.stem)
def test_the_imports_of_a_tutorial_exist(page):
    for _, text in blocks_of(page):
        for line in filter(lambda line: line.startswith(("import ", "from ")), text.splitlines()):
            exec(line, {})


@pytest.mark.long
@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda p: p.stem)
def test_a_tutorial_runs_from_top_to_bottom(page):
    names = {}
    for language, text in blocks_of(page, "python|yaml|console"):
        if language == "python":
            exec(compile(text, page.name, "exec"), names)
        elif language == "yaml":
            Path(recipe_name(text)).write_text(text)
        else:
            for words in synaug_lines(text):
                app(words, standalone_mode=False)


def recipe_name(text):
    """Return the file name in the first line of a recipe, ``# NAME.yaml``."""
    found = re.match(r"# (\S+\.yaml)\n", text)
    return found and found[1]


@pytest.mark.parametrize("text", list(blocks("yaml")))
def test_a_recipe_of_the_documents_is_read(text, tmp_path):
    if not recipe_name(text):
        pytest.skip("no recipe")
    path = tmp_path / recipe_name(text)
    path.write_text(text)
    assert read_recipe(path) != Recipe()


def synaug_lines(text):
    """Yield the arguments of each line that calls synaug."""
    for line in text.splitlines():
        found = re.search(r"""(?:^|\s)synaug\s+((?:"[^"]*"|'[^']*'|[^&|>])*)""", line)
        if found and not line.startswith("#"):
            yield shlex.split(found[1].replace("$i", "1"), comments=True)


def commands():
    for language in ("console", "bash"):
        for block in blocks(language):
            yield from (pytest.param(words, id=" ".join(words)[:60]) for words in synaug_lines(block.values[0]))


@pytest.mark.parametrize("words", list(commands()))
def test_a_command_of_the_documents_is_understood(words):
    command = typer.main.get_command(app)
    with command.make_context("synaug", list(words)) as context:
        name, inner, rest = command.resolve_command(context, list(words))
        with inner.make_context(name, rest, parent=context):
            pass


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def anchors(page):
    """Return the anchors of a page's headings, as the site makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), flags=re.M)
    used = set()
    return {unique(slugify(re.sub(r"\[([^]]*)\]\([^)]*\)|`", r"\1", each), "-"), used) for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_to_a_heading_lead_to_one(page):
    made = "<!-- made by make docs: options"  # a page whose headings come from the code
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
        goal = page.parent / target if target else page
        if goal.suffix == ".md" and made not in goal.read_text():
            assert anchor in anchors(goal), f"{target}#{anchor}"


def test_the_architecture_page_names_files_and_constants_that_exist():
    table = (ROOT / "docs" / "architecture.md").read_text().split("## Where a change goes")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| you want")]
    assert len(rows) >= 40
    for row in rows:
        names = re.findall(r"`([^`]+)`", row.replace("\\", ""))
        places = [place(name) for name in names if "/" in name or name.endswith(".py")]
        assert places, row
        assert all(each.exists() for each in places), row
        code = "".join(each.read_text() for each in places if each.is_file())
        assert all(re.search(rf"^{name}\b", code, flags=re.M) for name in names if name.isupper()), row


def place(name):
    """Return the location of a documented path: below the package, or below the project's root."""
    inside = ROOT / "src" / "synaug" / name
    return inside if inside.exists() else ROOT / name


@pytest.mark.parametrize("path", [demo_recipe(), *sorted(ROOT.glob("recipes/*.yaml"))], ids=lambda p: p.name)
def test_a_recipe_is_read(path):
    assert read_recipe(path).name


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*.py")), ids=lambda p: p.name)
def test_an_example_runs(path):
    runpy.run_path(str(path), run_name="__main__")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # from the notebook's own libraries
@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*.ipynb")), ids=lambda p: p.name)
def test_a_notebook_runs_and_is_kept_without_outputs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    shown = "".join(str(output) for cell in cells for output in cell.outputs)
    assert "worst class" in shown
    assert "image/png" in shown
    assert "evened out: accuracy" in shown
