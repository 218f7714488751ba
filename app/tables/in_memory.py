"""Table files in memory, such as uploads. The readers of files take them like paths."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeAlias


@dataclass(frozen=True, slots=True)
class TableBytes:
    """Content of a table file, with the name of the file. The name's extension is the kind of the file."""

    name: str
    content: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.name

    def open(self) -> BinaryIO:
        """Return the content as a file for reading bytes."""
        return io.BytesIO(self.content)


TableFile: TypeAlias = Path | TableBytes
