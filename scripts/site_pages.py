"""Insert the generated parts of the site: pages of the project's root, tables from the code, the import picture.

A page contains a line such as ``<!-- made by make docs: options -->``, which the output of ``MADE`` replaces.
"""

import posixpath
import re
from pathlib import Path

import import_picture
import reference_pages

ROOT = Path(__file__).parents[1]
MARK = re.compile(r"^<!-- made by make docs: (.+) -->$", flags=re.M)
HOMES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def root_page(name):
    """Return a page of the project's root with links to pages of the site."""
    return LINK.sub(lambda found: f"]({place_on_site(found[1])}", (ROOT / name).read_text(encoding="utf-8"))


def place_on_site(path):
    """Return the location on the site of a path relative to the project's root.

    >>> place_on_site("docs/method.md"), place_on_site("CHANGELOG.md")
    ('method.md', 'changelog.md')
    """
    return HOMES.get(path) or posixpath.relpath(path, "docs")


MADE = {
    **{name: lambda name=name: root_page(name) for name in HOMES},
    "options": reference_pages.options,
    "commands": reference_pages.commands,
    "methods": reference_pages.methods,
    "public names": reference_pages.public_names,
    **{f"modules of {part}": lambda part=part: reference_pages.modules(part) for part in reference_pages.PARTS},
    "imports": import_picture.picture,
}


def filled_in(markdown):
    """Return the text of a page with its marks replaced by generated content."""
    return MARK.sub(lambda mark: MADE[mark[1]](), markdown)


def on_page_markdown(markdown, **_):
    """Process a page for MkDocs, which calls this for each one."""
    return filled_in(markdown)
