"""Types of a model's features (type, nullability, categories), and the columns that the model receives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from app.core.panes.inputs import NON_FINITE
from app.core.values.precision import EXACT_IN_A_FLOAT
from app.core.values.reading import spelled

if TYPE_CHECKING:  # pandas is a third of the API's start; only loading a bundle imports it
    import pandas as pd

Scalar = str | int | float | bool | None
Column = tuple[Scalar, ...]
ValueType = Literal["number", "text", "integer", "boolean", "category"]
"""Type of value that a model was trained on. By default, numeric features are numbers and categorical ones text."""
WORDS: Mapping[ValueType, str] = {
    "number": "a number", "text": "a text", "integer": "a whole number", "boolean": "true or false",
    "category": "one of its categories",
}  # fmt: skip
DTYPES: Mapping[ValueType, tuple[str, ...]] = {
    "number": ("float64", "float32", "Float64", "Float32"),
    "integer": ("int64", "int32", "Int64", "Int32", "float64", "Float64", "object"),
    "boolean": ("bool", "boolean", "float64", "object"),
    "text": ("str", "object", "string"),
    "category": (),
}
"""Possible pandas dtypes of a column of each type."""
NARROW: Mapping[str, int] = {"int32": 31, "Int32": 31}
"""Bits of whole numbers without the sign, for dtypes with fewer than 63."""


@dataclass(frozen=True, slots=True)
class FeatureType:
    """Type of one feature as the model was trained on it.

    `nullable`: whether null is accepted; None where the metadata does not say, and the model decides. `categories`:
    those of a pandas Categorical, in its order. `dtype`: pandas' name of the column's dtype; empty for the default of
    the type.
    """

    type: ValueType
    nullable: bool | None = None
    categories: tuple[str | int | float | bool, ...] = ()
    dtype: str = ""
    codes: Mapping[str, int] = field(default_factory=dict)
    """Position of each category, by its spelling."""
    categorical: Any = field(default=None, compare=False, repr=False)
    """pandas' dtype of the categories; made once, since making it takes longer than making the column."""


class WrongType(ValueError):
    """Raised for an entry of `types` that cannot be used. The message continues after the feature's name."""


def feature_type(given: object) -> FeatureType:
    """Return the type for one entry of `types`: a type's name, or an object with the name. Raises WrongType."""
    if not isinstance(given, Mapping):
        if given not in get_args(ValueType):
            raise WrongType(f" must be one of {', '.join(get_args(ValueType))}, not {given!r}")
        if given == "category":
            raise WrongType(': a category needs its categories: {"type": "category", "categories": [...]}')
        return FeatureType(given)  # type: ignore[arg-type]  # one of them, as just seen
    if given.get("type") not in DTYPES:
        raise WrongType(f".type must be one of {', '.join(DTYPES)}, not {given.get('type')!r}")
    kind: ValueType = given["type"]
    nullable, dtype = given.get("nullable"), given.get("dtype", "")
    if not (nullable is None or isinstance(nullable, bool)):
        raise WrongType(f".nullable must be true or false, not {nullable!r}")
    if dtype and dtype not in DTYPES[kind]:
        raise WrongType(f".dtype of {kind} must be one of {', '.join(DTYPES[kind]) or 'none'}, not {dtype!r}")
    categories = given.get("categories", [])
    if (kind == "category") != bool(categories):
        raise WrongType(".categories must be a list of values where the type is category, and absent otherwise")
    if not isinstance(categories, list) or not all(isinstance(one, (str, int, float)) for one in categories):
        raise WrongType(".categories must be texts, numbers or truth values")
    codes = {spelled(one): code for code, one in enumerate(categories)}
    if len(codes) != len(categories):
        raise WrongType(".categories has a value twice")
    return FeatureType(kind, nullable, tuple(categories), dtype, codes, _categorical(categories))


def _categorical(categories: list[str | float | bool]) -> Any:
    """Return pandas' dtype of these categories; None where there are none. Raises WrongType."""
    if not categories:
        return None
    import pandas as pd

    try:
        return pd.CategoricalDtype(pd.Index(categories))
    except ValueError as error:
        raise WrongType(f".categories cannot be pandas' categories: {error}") from None


def wrong_value(value: Scalar, kind: FeatureType) -> str:
    """Return what was expected of a value and what was found, without the value; empty where the value is accepted."""
    if value is None:
        return f"expected {WORDS[kind.type]}, got null" if kind.nullable is False else ""
    if kind.type == "text":
        return ""
    if kind.type == "category":
        unknown = kind.nullable is False and spelled(value) not in kind.codes
        return "expected one of its categories, got a value that is none of them" if unknown else ""
    if not _fits(value, kind.type):
        return f"expected {WORDS[kind.type]}, got {_word(value)}"
    return _out_of_range(value, kind)


def _fits(value: str | float | bool, kind: ValueType) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        return kind == "number" and value in NON_FINITE
    return kind == "number" or float_is_whole(value)


def float_is_whole(value: float) -> bool:
    """Return whether a number is whole; an int of any size is."""
    return isinstance(value, int) or value.is_integer()


def _out_of_range(value: str | float | bool, kind: FeatureType) -> str:
    """Return an error for a number that its column cannot represent exactly; else an empty text."""
    if isinstance(value, (str, bool)):
        return ""
    if kind.type == "integer" and kind.dtype not in ("float64", "Float64"):
        most = 1 << NARROW.get(kind.dtype, 63)
        beyond = not -most <= value < most
        return f"expected a whole number of {most.bit_length()} bits, got a larger one" if beyond else ""
    if type(value) is int and abs(value) > EXACT_IN_A_FLOAT and not _is_exact(value):
        return "expected a number that a float holds exactly, got a whole number beyond 2^53 that it does not"
    return ""


def _is_exact(value: int) -> bool:
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def _word(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "a text" if isinstance(value, str) else "a number"


def frame_of(
    types: Mapping[str, FeatureType], rows: Sequence[Mapping[str, Scalar]], *, extended: bool = False
) -> pd.DataFrame:
    """Return rows as the data frame that the model takes, with the columns in the order of `types`.

    Every row must have every feature. `extended`: whole numbers and booleans that may be missing become pandas' Int64
    and boolean instead of objects. Columns of one dtype are made together, because pandas needs 0.1 ms for each single
    column.
    """
    import pandas as pd

    together: dict[tuple[ValueType, str], dict[str, Column]] = {}
    alone: dict[str, Any] = {}
    for (name, kind), column in zip(types.items(), _columns(list(types), rows), strict=True):
        if kind.type == "category":
            codes = [-1 if v is None else kind.codes.get(spelled(v), -1) for v in column]
            alone[name] = pd.Categorical.from_codes(codes, dtype=kind.categorical)
            continue
        dtype = kind.dtype or _own_dtype(kind, None in column, extended=extended)
        together.setdefault((kind.type, dtype), {})[name] = column
    frames = [_frame(columns, *of) for of, columns in together.items()]
    if alone:
        frames.append(pd.DataFrame(alone, copy=False))
    frame = frames[0] if len(frames) == 1 else pd.concat(frames, axis=1)
    return frame if list(frame.columns) == list(types) else frame[list(types)]


def _columns(names: Sequence[str], rows: Sequence[Mapping[str, Scalar]]) -> list[Column]:
    if len(names) == 1:
        return [tuple(row[names[0]] for row in rows)]
    picked = itemgetter(*names)
    return list(zip(*(picked(row) for row in rows), strict=True))


def _frame(columns: Mapping[str, Column], kind: ValueType, dtype: str) -> pd.DataFrame:
    """Return a data frame of columns with the same type and dtype."""
    import pandas as pd

    names, cells = list(columns), list(columns.values())
    if kind == "text":
        flat: Any = [None if v is None else spelled(v) for column in cells for v in column]
    elif kind == "integer" and dtype != "int64":
        flat = [None if v is None else int(v) for column in cells for v in column]
    else:
        flat = None  # numpy reads None as NaN, and the JSON names of non-finite numbers
    if dtype in ("float64", "int64", "bool"):
        block = np.array(cells, dtype=dtype) if flat is None else np.array(flat, dtype=dtype).reshape(len(names), -1)
        return pd.DataFrame(block.T, columns=names)
    n = len(cells[0])
    if dtype == "object":  # without the dtype, pandas would convert texts to str
        objects = np.array(cells if flat is None else flat, dtype=object).reshape(len(names), n)
        return pd.DataFrame(objects.T, columns=names, dtype=object)
    if flat is None and kind == "number":
        flat = np.array(cells, dtype=np.float64).reshape(-1)
    elif flat is None:
        flat = [v for column in cells for v in column]
    made: Any = pd.array(flat, dtype=dtype)
    return pd.DataFrame({name: made[i * n : (i + 1) * n] for i, name in enumerate(names)}, copy=False)


def _own_dtype(kind: FeatureType, has_null: bool, *, extended: bool) -> str:
    """Return the dtype of a column for which the metadata has none."""
    if kind.type in ("number", "text"):
        return "float64" if kind.type == "number" else "str"
    if extended and (kind.nullable or has_null):
        return "boolean" if kind.type == "boolean" else "Int64"
    if has_null:
        return "object"
    return "bool" if kind.type == "boolean" else "int64"
