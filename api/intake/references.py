"""A reference or a profile in a form, read as `driftline register` reads files. Run in a thread: it takes seconds."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from api.http.problems import Problem
from api.intake.forms import FormPart
from app.core.reference.profile import Profile
from app.registration.monitoring import MonitoringFile
from topics.events import Hidden
from topics.reasons import field_error

PARTS = ("reference", "profile", "hidden", "config", "baseline", "encoding", "separator", "decimal")
"""Parts of the form, named as the options of `register`. `profile` replaces `reference`; `hidden`: columns it lacks."""
MOST_UNPACKED = 128 << 20
"""Bytes of a reference after unpacking, at most."""
MOST_CELLS = 20_000_000
"""Cells of a reference, at most: 20 columns of a million rows."""

if TYPE_CHECKING:
    from app.tables import TableBytes

_hidden = msgspec.json.Decoder(Hidden)


@dataclass(frozen=True, slots=True)
class GivenReference:
    """Registration to publish, with the decisions made while its reference was read."""

    profile: Profile
    file: MonitoringFile
    hidden: Hidden | None
    decided: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def reference_of(model: str, version: str, form: Mapping[str, FormPart], hash_key: bytes | None) -> GivenReference:
    """Return the profile of a form's reference with its monitoring.

    Raises Problem 422 that names the part, and in it the key, the column or the row; 413 for a table that is too large.
    """
    from app.registration.monitoring import MonitoringError
    from app.registration.publish import RegistrationError, check_names, decode_baseline
    from app.registration.setup import decode_monitoring
    from app.tables import TableError

    _check_parts(form)
    try:
        check_names(model, version)
        file = decode_monitoring(form["config"].content, "config") if "config" in form else MonitoringFile()
        given = form.get("baseline")
        baseline = file.baseline if given is None else decode_baseline(given.content, "baseline")
        if "profile" in form:
            return _made_elsewhere(model, version, form, file)
        return _read(model, version, form, file, baseline, hash_key)
    except (TableError, MonitoringError, RegistrationError) as error:
        raise Problem(422, str(error)) from None


def _check_parts(form: Mapping[str, FormPart]) -> None:
    if "reference" not in form and "profile" not in form:
        raise Problem(400, "reference: missing; send a CSV, Parquet or JSONL file (or a profile in its place)")
    if "reference" in form and "profile" in form:
        raise Problem(422, "profile: there is a reference too; send one of them")
    if "hidden" in form and "profile" not in form:
        raise Problem(422, "hidden: is for a profile; of a reference, columns.redact and columns.hash in config say it")
    for name in ("baseline", "encoding", "separator", "decimal"):
        if name in form and "profile" in form:
            raise Problem(422, f"{name}: is for a reference; a profile has been made with it already")


def _read(
    model: str, version: str, form: Mapping[str, FormPart], file: MonitoringFile, baseline: Mapping[str, float],
    hash_key: bytes | None,
) -> GivenReference:  # fmt: skip
    from app.registration.profiling import read_reference
    from app.tables import FileOptions, read_table
    from app.tables.files import PARQUET, form_words, kind_of_file, parquet_cells

    source = _table_file(form["reference"])
    options = FileOptions(_text(form, "encoding"), _separator(form), _decimal(form))
    if kind_of_file(source) in PARQUET:
        _check_cells(source, parquet_cells(source))
    frame = read_table(source, options)
    _check_cells(source, frame.size)
    words = form_words(source, options)
    found = read_reference(model, version, frame, file, baseline, hash_key)
    decided = {name: decision.reason for name, decision in found.roles.decisions.items()}
    notes = (*([words] if words else []), *found.notes)
    return GivenReference(found.profile, file, found.hidden, decided, found.roles.left_out, notes)


def _check_cells(source: TableBytes, cells: int) -> None:
    if cells > MOST_CELLS:
        raise Problem(413, f"{source}: {cells:,} cells; at most {MOST_CELLS:,} are taken: send a sample of the rows")


def _made_elsewhere(model: str, version: str, form: Mapping[str, FormPart], file: MonitoringFile) -> GivenReference:
    from app.registration.given_profile import check_hidden, decode_profile
    from app.registration.publish import RegistrationError

    profile = decode_profile(form["profile"].content, model, version)
    hidden = None
    if "hidden" in form:
        try:
            hidden = _hidden.decode(form["hidden"].content)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RegistrationError(f"hidden: {field_error(error)}") from None
    check_hidden(profile, hidden, file)
    return GivenReference(profile, file, hidden)


def _table_file(part: FormPart) -> TableBytes:
    from app.tables import TableBytes, TableError

    name = part.filename
    if not name:
        raise TableError("reference: has no filename; it says what kind of file it is, as reference.parquet")
    if PurePosixPath(name).suffix.lower() != ".gz":
        return TableBytes(name, part.content)
    try:
        with gzip.open(io.BytesIO(part.content)) as file:
            content = file.read(MOST_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise TableError(f"{name}: {error}") from None
    if len(content) > MOST_UNPACKED:
        raise Problem(413, f"{name}: more than {MOST_UNPACKED >> 20} MiB unpacked; send Parquet, or a profile")
    return TableBytes(name[: -len(".gz")], content)


def _text(form: Mapping[str, FormPart], name: str) -> str | None:
    part = form.get(name)
    return None if part is None else part.content.decode(errors="replace")


def _separator(form: Mapping[str, FormPart]) -> str | None:
    given = _text(form, "separator")
    found = {"tab": "\t", "\\t": "\t"}.get(given or "", given)
    if found is not None and len(found) != 1:
        raise Problem(422, f"separator: must be one character, or tab, not {found!r}")
    return found


def _decimal(form: Mapping[str, FormPart]) -> str | None:
    found = _text(form, "decimal")
    if found not in (None, ".", ","):
        raise Problem(422, f"decimal: must be . or , not {found!r}")
    return found
