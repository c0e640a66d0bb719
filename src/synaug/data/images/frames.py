"""Find files with several frames or pages, of which only the first is read."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from synaug.runtime import without_warnings

_SINGLE = (b"\xff\xd8\xff", b"BM", b"P5", b"P6")  # starts of JPEG (others in one file are previews), BMP, PNM
_PNG, _ANIMATED_PNG, _HEAD = b"\x89PNG", b"acTL", 4096


def num_frames(data: bytes) -> int:
    """Return the number of frames or pages of an encoded image; 1 if it is not known.

    >>> num_frames(b"no image")
    1
    """
    if data.startswith(_SINGLE) or (data.startswith(_PNG) and _ANIMATED_PNG not in data[:_HEAD]):
        return 1
    try:
        with without_warnings(), Image.open(io.BytesIO(data)) as image:
            return int(getattr(image, "n_frames", 1))
    except Exception:  # a later frame is damaged, or another library reads the format
        return 1


def frame_notes(names: Sequence[str], numbers: Sequence[int]) -> tuple[str, ...]:
    """Return a note on images with several frames.

    >>> frame_notes(["a.gif", "b.png"], [3, 1])
    ('1 image has several frames or pages (a.gif); the first is read.',)
    """
    several = [name for name, number in zip(names, numbers, strict=True) if number > 1]
    if not several:
        return ()
    shown = ", ".join(several[:3]) + (", ..." if len(several) > 3 else "")
    if len(several) == 1:
        return (f"1 image has several frames or pages ({shown}); the first is read.",)
    return (f"{len(several):,} images have several frames or pages ({shown}); the first of each is read.",)
