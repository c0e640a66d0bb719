"""Mark image files as made by a model, as IPTC asks: XMP ``DigitalSourceType``; not a pixel is changed."""

from __future__ import annotations

import struct
import zlib

from synaug.errors import DataError

GENERATED = "trainedAlgorithmicMedia"
GENERATED_FROM_REAL = "compositeWithTrainedAlgorithmicMedia"
_SOURCE_TYPE = b"http://cv.iptc.org/newscodes/digitalsourcetype/"
_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">\
<Iptc4xmpExt:DigitalSourceType>{source}</Iptc4xmpExt:DigitalSourceType>\
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""
_PNG = b"\x89PNG\r\n\x1a\n"


def is_marked(data: bytes) -> bool:
    """Return whether encoded bytes carry one of the two marks."""
    return any(_SOURCE_TYPE + kind.encode() in data for kind in (GENERATED, GENERATED_FROM_REAL))


def marked(data: bytes, *, from_real: bool = False) -> bytes:
    """Return the encoded image with the mark put in; one that is marked already stays as it is.

    Args:
        data: PNG, JPEG or WebP.
        from_real: whether the model started from a real image.

    Raises:
        DataError: the bytes are of another format, which has no place for the mark.
    """
    if is_marked(data):
        return data
    source = _SOURCE_TYPE.decode() + (GENERATED_FROM_REAL if from_real else GENERATED)
    xmp = _XMP.format(source=source).encode()
    if data.startswith(_PNG):
        return _marked_png(data, xmp)
    if data.startswith(b"\xff\xd8"):
        return _marked_jpeg(data, xmp)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _marked_webp(data, xmp)
    raise DataError("is not PNG, JPEG or WebP, so it cannot carry the mark of generated images")


def _marked_png(data: bytes, xmp: bytes) -> bytes:
    """Put an uncompressed iTXt chunk behind the header chunk."""
    header_end = 8 + 25
    body = b"iTXt" + b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:header_end] + chunk + data[header_end:]


def _marked_jpeg(data: bytes, xmp: bytes) -> bytes:
    """Put an APP1 segment behind the JFIF and Exif segments, which must come first."""
    position = 2
    while data[position : position + 2] in (b"\xff\xe0", b"\xff\xe1"):
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    body = b"http://ns.adobe.com/xap/1.0/\0" + xmp
    return data[:position] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[position:]


def _marked_webp(data: bytes, xmp: bytes) -> bytes:
    """Append an XMP chunk; a simple file gets the extended header that announces it."""
    chunks = data[12:]
    if chunks[:4] != b"VP8X":
        chunks = _extended_header(chunks) + chunks
    flags = bytes([chunks[8] | 0x04])
    chunks = chunks[:8] + flags + chunks[9:] + b"XMP " + struct.pack("<I", len(xmp)) + xmp + b"\0" * (len(xmp) % 2)
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def _extended_header(chunks: bytes) -> bytes:
    if chunks[:4] == b"VP8L":
        bits = int.from_bytes(chunks[9:13], "little")
        width, height, alpha = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bits >> 28 & 1
    else:
        width = int.from_bytes(chunks[14:16], "little") & 0x3FFF
        height = int.from_bytes(chunks[16:18], "little") & 0x3FFF
        alpha = 0
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X" + struct.pack("<I", 10) + bytes([alpha << 4, 0, 0, 0]) + canvas
