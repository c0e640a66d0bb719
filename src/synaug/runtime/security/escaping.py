"""Escape untrusted text before it reaches a terminal, a log, JSON, Markdown or HTML.

File names, class names, columns and error messages of libraries may contain control characters. On a terminal an
escape sequence can rewrite earlier lines, set the window title or paste text; a bidirectional override reverses a
name. Such characters are shown as escapes, so that the reader notices them.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import PurePath, PurePosixPath, PureWindowsPath

# C0 and C1 control characters, line and paragraph separators, bidirectional controls, lone surrogates, and the
# invisible characters that hide text inside a name. Joiners stay: emoji and Indic scripts need them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_DRIVE = re.compile(r"^([A-Za-z]:[\\/]|\\\\)")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MARKDOWN = re.compile(r"([\\`*\[\]|~])")
_BLOCK_STARTS = re.compile(r"^(#|[-+>=]|\d+[.)])")


def visible(text: str, *, keep: str = "") -> str:
    r"""Return the text with every character that a terminal interprets replaced by its escape, such as ``\x1b``.

    Args:
        text: text from a file, a library or a user.
        keep: characters to leave unchanged, such as ``"\n"`` in a message of several lines.

    >>> print(visible("cat\x1b[31m\n"), visible("\u202egnp.tac"), visible("Été 😀"))
    cat\x1b[31m\n \u202egnp.tac Été 😀
    """

    def escape(match: re.Match[str]) -> str:
        letter = match[0]
        return letter if letter in keep else _SHORT.get(letter) or _escaped(letter)

    return _UNSAFE.sub(escape, text)


def _escaped(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_text(value: object, *, indent: int | None = 2, ascii_only: bool = False) -> str:
    r"""Return a value as JSON that is safe to print; parsing it gives the same value.

    >>> print(json_text({"name": "\x9b31m é"}, indent=None))
    {"name": "\u009b31m é"}
    >>> print(json_text({"name": "é"}, indent=None, ascii_only=True))
    {"name": "\u00e9"}
    """
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    return _UNSAFE.sub(lambda match: match[0] if match[0] == "\n" else json.dumps(match[0])[1:-1], text)


def markdown(text: str) -> str:
    r"""Return the text as one line of Markdown that displays it literally: no markup, no HTML, no table cells.

    >>> print(markdown("a|b <img src=x>\n# c"), markdown("# title"), markdown("t-shirt_1"))
    a\|b &lt;img src=x&gt; # c \# title t-shirt_1
    """
    line = visible(" ".join(re.split(r"[\r\n\t]+", text)).strip())
    line = _MARKDOWN.sub(r"\\\1", line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    return _BLOCK_STARTS.sub(lambda match: f"{match[0][:-1]}\\{match[0][-1]}", line)


def one_line(text: str) -> str:
    r"""Return the text on one line, with escapes for characters that are not visible: for the header of a card.

    >>> print(one_line("photos\n---\nlicense: mit"))
    photos --- license: mit
    """
    return visible(" ".join(text.split()))


def markdown_code(text: str) -> str:
    """Return the text as inline Markdown code, even if it contains backticks.

    >>> print(markdown_code("a `b`"), markdown_code("plain"))
    `` a `b` `` `plain`
    """
    line = visible(" ".join(text.split()))
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    space = " " if "`" in line else ""
    return f"{fence}{space}{line}{space}{fence}"


def shell_word(path: str | PurePath) -> str:
    """Return a path as one word of a command that a person may copy into a shell.

    >>> print(shell_word("runs/photos"), shell_word("runs/a; rm -rf ~"))
    runs/photos 'runs/a; rm -rf ~'
    """
    return shlex.quote(str(path))


def portable_name(name: str) -> str:
    """Return the name to publish for a file, folder or model: the last part of a local path.

    A Hub id (``owner/model``) is left unchanged.

    >>> portable_name("/home/me/secret/model"), portable_name("../m"), portable_name("owner/model@main")
    ('model', 'm', 'owner/model@main')
    """
    path: PurePath = PureWindowsPath(name) if _DRIVE.match(name) else PurePosixPath(name)
    is_local = is_machine_path(name) or name.startswith(".") or len(path.parts) > 2
    return (path.name or "folder") if is_local else name


def is_machine_path(text: str) -> bool:
    r"""Return whether the text is an absolute path, which reveals the users and folders of a machine.

    >>> is_machine_path("/home/me"), is_machine_path("~/m"), is_machine_path(r"C:\m"), is_machine_path("a/b")
    (True, True, True, False)
    """
    return text.startswith(("/", "~/")) or _DRIVE.match(text) is not None
