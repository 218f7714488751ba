"""Checks of a profile that was made elsewhere, before it is registered."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

import msgspec

from app.core.reference.profile import ColumnProfile, Profile, with_identity
from app.core.reference.usual import ReferenceUsual
from app.registration.monitoring import MonitoringFile
from app.registration.publish import RegistrationError
from topics.events import Hidden
from topics.reasons import field_error

_profiles = msgspec.json.Decoder(Profile)


def decode_profile(document: bytes, model: str, version: str) -> Profile:
    """Return the profile of a model version from its JSON, as `register` publishes it.

    Raises RegistrationError that names the field or the column.
    """
    try:
        profile = _profiles.decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RegistrationError(f"profile: {field_error(error)}") from None
    if wrong := next(_wrong(profile, model, version), None):
        raise RegistrationError(f"profile: {wrong}")
    identified = with_identity(profile)
    if profile.profile_id not in ("", identified.profile_id):
        raise RegistrationError(
            "profile: profile_id: is not that of its content: it was changed, or made by another release of Driftline; "
            "make it again with this release, or send the reference itself"
        )
    return identified


def check_hidden(profile: Profile, hidden: Hidden | None, file: MonitoringFile) -> None:
    """Check that a profile lacks the columns that the configuration hides, and has those that it names.

    Raises RegistrationError that names the key.
    """
    columns, names = file.columns, {column.name for column in profile.features}
    of = Hidden() if hidden is None else hidden
    for key, asked, made in (("redact", columns.redact, of.redact), ("hash", columns.hash, of.hash)):
        if hidden is None and asked:
            raise RegistrationError(f"hidden: missing; config hides columns.{key} {', '.join(asked)}")
        if set(asked) - set(made):
            raise RegistrationError(
                f"hidden.{key}: lacks {', '.join(sorted(set(asked) - set(made)))}, which config hides (columns.{key})"
            )
    if shown := sorted(names & set(of.redact)):
        raise RegistrationError(f"hidden.redact: {', '.join(shown)} is in the profile, so it was not redacted")
    if of.hash and not of.key_check:
        raise RegistrationError("hidden.key_check: missing; it says which key the hashes were made with")
    absent = [name for name in file.monitoring.alerting.critical_features if name not in names]
    if absent:
        raise RegistrationError(f"config: alerting.critical_features: {', '.join(absent)} is not one of the features")


def _wrong(profile: Profile, model: str, version: str) -> Iterator[str]:
    """Yield the faults of a profile, each with its field."""
    for name, given, wanted in (
        ("model", profile.model, model),
        ("model_version", profile.model_version, version),
    ):
        if given != wanted:
            yield f"{name}: is {given!r}, but the address says {wanted!r}"
    if profile.n < 1:
        yield f"n: must be at least 1, not {profile.n}"
    yield from _wrong_labels(profile)
    for name, value in (profile.baseline | profile.estimated_baseline).items():
        if not math.isfinite(value):
            yield f"baseline.{name}: must be a finite number"
    if list(profile.calibration) != sorted(profile.calibration):
        yield "calibration: its points must be ascending"
    yield from _wrong_columns(profile)


def _wrong_columns(profile: Profile) -> Iterator[str]:
    if not profile.features:
        yield "features: must name at least one"
    if twice := _first_twice([column.name for column in profile.features]):
        yield f"features: {twice!r} stands there twice"
    columns = [(f"feature {column.name!r}", column) for column in profile.features]
    if profile.task != "features":
        columns.append(("prediction", profile.prediction))
    if profile.probability is not None:
        columns.append(("probability", profile.probability))
    for name, column in columns:
        yield from (f"{name}: {words}" for words in _wrong_column(column, profile.n))
    if profile.usual is not None:
        named = {column.name for _, column in columns}
        yield from (f"usual.{words}" for words in _wrong_usual(profile.usual, named))


def _wrong_usual(usual: ReferenceUsual, columns: Collection[str]) -> Iterator[str]:
    """Yield the faults of the usual differences between a reference's own windows, each with its field."""
    spans = len(usual.spans)
    if not -math.inf < usual.since <= usual.until < math.inf:
        yield "until: must not be before since, and both finite"
    if usual.rows < 1:
        yield f"rows: must be at least 1, not {usual.rows}"
    if not spans or not all(0 < here < math.inf for here in usual.spans):
        yield "spans: must be above 0 and finite, and at least one"
    if any(here >= after for here, after in pairwise(usual.spans)):
        yield "spans: must be ascending"
    if len(usual.windows) != spans:
        yield f"windows: must have one for each of the {spans} spans"
    if twice := _first_twice([one.name for one in usual.columns]):
        yield f"columns: {twice!r} stands there twice"
    for column in usual.columns:
        if column.name not in columns:
            yield f"columns: {column.name!r} is no column of the profile"
        yield from _wrong_effects(f"columns.{column.name}", spans, column.distribution, column.missing)
        if column.unseen:
            yield from _wrong_effects(f"columns.{column.name}", spans, column.unseen)
    for metric in usual.metrics:
        yield from _wrong_effects(f"metrics.{metric.name}", spans, metric.drop)


def _wrong_effects(name: str, spans: int, *effects: Sequence[float]) -> Iterator[str]:
    for values in effects:
        if len(values) != spans:
            yield f"{name}: must have one value for each of the {spans} spans"
        if not all(0 <= value < math.inf for value in values):
            yield f"{name}: must not be negative, and finite"


def _wrong_labels(profile: Profile) -> Iterator[str]:
    of_classes = profile.task in {"binary", "multiclass"}
    if of_classes and len(profile.labels) < 2:
        yield f"labels: a {profile.task} model needs two at least"
    if not of_classes and profile.labels:
        yield f"labels: a model of task {profile.task} has none"
    if twice := _first_twice(profile.labels):
        yield f"labels: {twice!r} stands there twice"


def _wrong_column(column: ColumnProfile, n: int) -> Iterator[str]:
    """Yield the faults of a column, each with its field."""
    yield from _wrong_numbers(column) if column.kind == "numeric" else _wrong_categories(column)
    for name in ("below", "above", "missing", "invalid"):
        if getattr(column, name) < 0:
            yield f"{name}: must not be negative"
    if not math.isfinite(column.centre):
        yield "centre: must be finite"
    if not 0 < column.scale < math.inf:
        yield "scale: must be above 0 and finite"
    if not column.total:
        yield "counts: has no values; leave the column out"
    rows = column.total + column.missing + column.invalid
    if rows > n:
        yield f"counts: has {rows:,} rows, but the profile has n {n:,}"


def _wrong_numbers(column: ColumnProfile) -> Iterator[str]:
    if column.categories:
        yield "categories: a numeric column has none"
    if len(column.values) != len(column.counts):
        yield f"counts: must have one for each of its {len(column.values):,} values, not {len(column.counts):,}"
    if any(count < 1 for count in column.counts):
        yield "counts: must be above 0"
    if not all(map(math.isfinite, column.values)):
        yield "values: must be finite; infinite ones count in below and above"
    if any(here >= after for here, after in pairwise(column.values)):
        yield "values: must be ascending"


def _wrong_categories(column: ColumnProfile) -> Iterator[str]:
    if column.values or column.below or column.above:
        yield "values: a categorical column has none"
    if len(column.categories) != len(column.counts):
        yield f"counts: must have one for each of its {len(column.categories):,} categories, not {len(column.counts):,}"
    if any(count < 0 for count in column.counts):
        yield "counts: must not be negative"
    if twice := _first_twice(column.categories):
        yield f"categories: {twice!r} stands there twice"


def _first_twice(names: Sequence[str]) -> str | None:
    seen = set[str]()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
