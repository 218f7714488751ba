"""Bodies of multipart/form-data (RFC 7578), parted by name."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass, field
from email.message import Message
from email.parser import HeaderParser

from api.http.problems import Problem

FORM = "multipart/form-data"
MOST_PARTS = 30
LONGEST_BOUNDARY = 70
LONGEST_HEAD = 8 << 10
"""Bytes of the headers of a part."""
AS_IT_IS = frozenset({"", "binary", "7bit", "8bit"})


@dataclass(frozen=True, slots=True)
class FormPart:
    """A field of a form, or a file with its name (else empty)."""

    filename: str
    content: bytes = field(repr=False)


def form_of(body: bytes, content_type: str, known: Collection[str]) -> dict[str, FormPart]:
    """Return the parts of a form by name.

    Raises Problem 415 where the body is no form, 400 where it is cut off or has no parts, 422 for a part that is not
    `known` or is there twice.
    """
    boundary = _boundary(content_type)
    before, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if not parts or before.strip():
        raise Problem(400, "the body does not begin with the boundary of content-type")
    if not parts[-1].startswith(b"--"):
        raise Problem(400, "the body ends before the last part does: it was cut off")
    if len(parts) - 1 > MOST_PARTS:
        raise Problem(413, f"{len(parts) - 1} parts; at most {MOST_PARTS} are taken")
    found: dict[str, FormPart] = {}
    for part in parts[:-1]:
        name, one = _part(part)
        if name not in known:
            (close, *_) = [*difflib.get_close_matches(name, known, 1), ""]
            hint = f" (did you mean {close}?)" if close else ""
            raise Problem(422, f"{name}: is no part of this form{hint}; there are {', '.join(sorted(known))}")
        if name in found:
            raise Problem(422, f"{name}: is given twice")
        found[name] = one
    if not found:
        raise Problem(400, "the form has no parts")
    return found


def _boundary(content_type: str) -> bytes:
    head = Message()
    head["content-type"] = content_type
    if head.get_content_type() != FORM:
        raise Problem(415, f"content-type: must be {FORM}, with a file or a field for each part")
    boundary = head.get_param("boundary")
    if not isinstance(boundary, str) or not 0 < len(boundary) <= LONGEST_BOUNDARY or not boundary.isascii():
        raise Problem(400, "content-type: has no boundary, or none of 1 to 70 characters")
    return boundary.encode()


def _part(part: bytes) -> tuple[str, FormPart]:
    """Return a part with its name. `part` begins after the boundary, and may have blanks before its line ends."""
    head, between, content = part.partition(b"\r\n\r\n")
    if not between or len(head) > LONGEST_HEAD or head.partition(b"\r\n")[0].strip(b" \t"):
        raise Problem(400, "a part has no headers, or does not begin with a line of its own")
    headers = HeaderParser().parsestr(head.decode(errors="replace").partition("\r\n")[2])
    if headers.get_content_disposition() != "form-data":
        raise Problem(400, "content-disposition: of each part must be form-data")
    name = headers.get_param("name", header="content-disposition")
    if not isinstance(name, str) or not name:
        raise Problem(400, "content-disposition: a part has no name")
    encoding = str(headers.get("content-transfer-encoding", "")).strip().lower()
    if encoding not in AS_IT_IS:
        raise Problem(415, f"{name}: content-transfer-encoding {encoding} is not taken; send it as it is")
    filename = headers.get_filename() or ""
    return name, FormPart(filename.replace("\\", "/").rpartition("/")[2], content)
