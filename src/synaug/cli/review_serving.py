"""Serve the review page until the person is done: the interactive part of 'synaug review'."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Any

from synaug.cli.printing import print_json, print_text
from synaug.runtime.security import shell_word


def serve_review(run: Path, *, per_class: int | None, port: int, open_browser: bool, as_json: bool) -> None:
    """Print the address of the page and answer its requests until a signal arrives; then print the number of decisions.

    Args:
        run: run directory with synthetic images.
        per_class: number of accepted images per class; None shows all.
        port: port to listen on; 0 takes a free one.
        open_browser: open the page in the default browser.
        as_json: print the address and the path of the table as JSON.
    """
    from synaug.pipeline.review import ReviewServer, ReviewSession
    from synaug.run_directory import Run
    from synaug.runtime import signals, storage
    from synaug.synthesis.execution import decisions_path

    with signals.graceful(), storage.lock(run, name="review"):
        session = ReviewSession(Run.open(run), per_class=per_class)
        with ReviewServer(session, port=port) as server:
            _announce({"url": server.url, "decisions": str(decisions_path(run))}, as_json=as_json)
            if open_browser:
                webbrowser.open(server.url)
            signals.wait()
        decided = session.decided
    if not as_json:
        print_text(
            f"\n{decided:,} {'image has' if decided == 1 else 'images have'} a decision in {decisions_path(run)}."
        )
        print_text(f"Next: synaug review {shell_word(run)} --apply")


def _announce(content: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(content)
    else:
        print_text(f"Review the images at:\n  {content['url']}")
        print_text("Only this machine can open the page. Each decision is saved at once to:")
        print_text(f"  {content['decisions']}\nPress Ctrl-C when you are done.")
    sys.stdout.flush()
