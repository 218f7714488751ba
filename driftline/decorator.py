"""`driftline.log_predictions`: a decorator that logs what a function predicts."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from driftline.client import Client
from driftline.encoding import why
from driftline.losses import InvalidEvent
from driftline.served import Features, ResultNames, features_of, served_predictions

P = ParamSpec("P")
T = TypeVar("T")


def log_predictions(
    client: Client,
    *,
    features: str | None = None,
    prediction: str = "prediction",
    probability: str | None = None,
    prediction_id: str = "prediction_id",
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Log each prediction that a function returns, with the features that it was called with.

    `features`: name of the argument that has them; by default the argument `features`, else the first. It is a mapping,
    Series, pydantic model or dataclass; or a frame or a list of those, with a prediction for each row. Where it is a
    number or a text, all arguments are features, by their names.

    A result without members is the prediction. `prediction`, `probability` and `prediction_id` are the names of members
    of other results; with dots for members of members. The id is also taken from an argument of that name, or from the
    features. The function's result and exceptions are unchanged. A call that cannot be logged counts as `invalid`, and
    raises InvalidEvent only in a client with `raises`. Raises TypeError for a function without such an argument.
    """
    names = ResultNames(prediction, probability, prediction_id)

    def decorated(function: Callable[P, T]) -> Callable[P, T]:
        call = _Call(client, function, features, names)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaiting(*args: P.args, **kwargs: P.kwargs) -> Any:
                given = call.given(args, kwargs)
                result = await function(*args, **kwargs)
                call.log(given, result)
                return result

            return cast("Callable[P, T]", call.signed(awaiting))

        @functools.wraps(function)
        def calling(*args: P.args, **kwargs: P.kwargs) -> T:
            given = call.given(args, kwargs)
            result = function(*args, **kwargs)
            call.log(given, result)
            return result

        return cast("Callable[P, T]", call.signed(calling))

    return decorated


class _Given(NamedTuple):
    features: Features | list[Features]
    prediction_id: object


class _Call:
    """Calls of one function: their features and ids, from its arguments."""

    def __init__(
        self, client: Client, function: Callable[..., object], features: str | None, names: ResultNames
    ) -> None:
        self._client, self._function, self._names = client, function, names
        self._signature = inspect.signature(function)
        self._named = [name for name in self._signature.parameters if name not in ("self", "cls")]
        where = f"log_predictions: {getattr(function, '__qualname__', function)}"
        if features is not None and features not in self._named:
            raise TypeError(f"{where} has no argument {features!r}; it has {', '.join(self._named) or 'none'}")
        if not self._named:
            raise TypeError(f"{where} has no arguments, so no features")
        self._features = features or ("features" if "features" in self._named else self._named[0])

    def signed(self, wrapper: Any) -> Any:
        """Return the wrapper with the function's signature: older FastAPI would look up texts of types here."""
        with contextlib.suppress(Exception):  # types that are only known to type checkers
            wrapper.__signature__ = inspect.signature(self._function, eval_str=True)
        return wrapper

    def given(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> _Given | Exception:
        """Return a call's features and id, copied before the function may change them; or why there are none."""
        try:
            bound = self._signature.bind(*args, **kwargs)
            bound.apply_defaults()
            arguments = {name: bound.arguments[name] for name in self._named}
            value = arguments[self._features]
            features = features_of(value)
            if features is None:
                dimensions: int = getattr(value, "ndim", 0)
                if isinstance(value, list | tuple) or dimensions:
                    raise InvalidEvent(f"features: {type(value).__name__} has no names of features")
                features = arguments
            return _Given(features, arguments.get(self._names.prediction_id))
        except Exception as error:  # noqa: BLE001 - the function is called all the same, and raises its own
            return error

    def log(self, given: _Given | Exception, result: object) -> None:
        """Log the predictions of a call. Raises InvalidEvent in a client with `raises`."""
        try:
            if isinstance(given, Exception):
                raise given
            found = served_predictions(given.features, result, self._names, given.prediction_id)
        except Exception as error:  # noqa: BLE001 - members of a result may raise anything
            self._client.refuse(why(error))
            return
        for one in found:
            self._client.log(one.features, one.prediction, probability=one.probability, prediction_id=one.prediction_id)
