"""What the documents say is run: Python blocks, commands, links, recipes, examples."""

import re
import runpy
import shlex
from pathlib import Path

import nbformat
import pytest
import typer.main
from nbclient import NotebookClient

from synaug.cli import app
from synaug.config import read_recipe
from synaug.embedded import demo_recipe

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def blocks(language):
    for page in PAGES:
        found = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.M | re.S)
        for number, text in enumerate(found):
            yield pytest.param(text, id=f"{page.relative_to(ROOT)}-{number}")


@pytest.mark.parametrize("text", list(blocks("python")))
def test_a_python_block_runs(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(text, "block", "exec"), {})


def commands():
    for block in blocks("console"):
        for line in block.values[0].splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if line.startswith("$ ") and words[0] == "synaug":
                yield pytest.param(words[1:], id=line[2:60])


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


@pytest.mark.parametrize("path", [demo_recipe(), *sorted(ROOT.glob("recipes/*.yaml"))], ids=lambda p: p.name)
def test_a_recipe_is_read(path):
    assert read_recipe(path).name


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*.py")), ids=lambda p: p.name)
def test_an_example_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the notebook's own libraries
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
