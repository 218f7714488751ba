"""Names in a configuration that nothing in the reference has, and that are no error: a line for each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from app.core.config.close_names import did_you_mean
from app.core.reference.metadata import METRICS
from app.registration.monitoring import TableColumns


def unused_names(columns: TableColumns, baseline: Iterable[str], table: Collection[str]) -> Iterator[str]:
    """Return a line for each column to ignore, redact or hash and each baseline that nothing has.

    `table`: names of the reference's columns, and of others that rows may have. A column to redact or hash may be a
    name in the events' metadata, so only one close to a column of the table is reported.
    """
    for name in columns.ignore:
        if name not in table:
            yield f"columns.ignore: the table has no column {name!r}{did_you_mean(name, table, before='; ')}"
    for key, names in (("redact", columns.redact), ("hash", columns.hash)):
        for name in names:
            if name not in table and (hint := did_you_mean(name, table, before="; ")):
                yield f"WARNING: columns.{key}: the table has no column {name!r}{hint}"
    for name in baseline:
        if name not in METRICS:
            hint = did_you_mean(name, METRICS, before="; ")
            yield f"baseline {name}: there is no such metric, so nothing is compared with it{hint}"
