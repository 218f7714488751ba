"""Loading of model.joblib as an estimator, with errors that say what to do."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from app.serving.bundle import MODEL, TRAINING, BundleError
from app.settings.extras import MissingExtra, needing

NOT_THERE = re.compile(r"(?:Can't get|module) (?:attribute )?'?(?P<what>[^']+)'? (?:on|has no attribute) '?(?P<of>.+)")
PACKAGES = ("sklearn", "numpy", "pandas", "scipy", "joblib", "lightgbm", "xgboost", "catboost")
"""Modules that users know as installed packages, not as their own code."""
OWN_PACKAGES = ("agents", "api", "app", "topics")
"""Driftline's packages: a user's module of such a name cannot be imported in a process of Driftline."""


class ModelFile(NamedTuple):
    """An estimator, its file's SHA-256, warnings, and whether another version of scikit-learn has saved the file."""

    estimator: Any
    sha256: str
    cautions: tuple[str, ...]
    skewed: bool


def read_model(home: Path, expected: str | None) -> ModelFile:
    """Load `model.joblib` of a folder. `expected`: its SHA-256, if known. Raises BundleError."""
    path = home / MODEL
    if path.resolve().parent != home:
        raise BundleError(f"{path}: leads out of the folder; put the file itself there")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None
    sha256 = hashlib.sha256(content).hexdigest()
    if expected is not None and sha256 != expected:
        raise BundleError(f"{path}: not the file that {TRAINING} names (SHA-256 differs); save the bundle again")
    try:
        with needing("models", str(path)):
            import joblib  # see save_bundle
            from sklearn.exceptions import InconsistentVersionWarning
    except MissingExtra as error:
        raise BundleError(str(error)) from None
    import pandas  # noqa: F401, ICN001 - so that the first prediction does not wait for it

    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always", InconsistentVersionWarning)
            estimator: Any = joblib.load(io.BytesIO(content))
    except Exception as error:  # unpickling may raise any exception
        raise BundleError(f"{path}: cannot be loaded: {_why(error)}") from error
    if not callable(getattr(estimator, "predict", None)):
        raise BundleError(f"{path}: a {type(estimator).__name__} has no predict")
    if type(estimator).__name__ == "Booster" and type(estimator).__module__.startswith("xgboost"):
        raise BundleError(f"{path}: a Booster of XGBoost takes a DMatrix; save an XGBClassifier or XGBRegressor")
    skew = _skew([warning.message for warning in found])
    unchecked = () if expected else (f"{TRAINING} names no sha256, so {MODEL} is not checked",)
    return ModelFile(estimator, sha256, (*skew, *unchecked), bool(skew))


def _why(error: Exception) -> str:
    """Return why a file cannot be unpickled; for a missing module, how to install it."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        if package in OWN_PACKAGES:
            return (
                f"it needs the module {error.name}, but {package} is a package of Driftline here: move what the model "
                "needs to a module of another name, import it from there in training, and save the bundle again"
            )
        if package in PACKAGES:
            return f"it needs the module {error.name}, which is not here: install {package} as it was in training"
        return (
            f"it needs the module {error.name}, which is not here: if it is your own, name the folder that it is in in "
            "PYTHONPATH, else install its package"
        )
    found = NOT_THERE.search(str(error)) if isinstance(error, AttributeError) else None
    if found is None:
        return f"{type(error).__name__}: {error}"
    if "__main__" in found["of"]:
        return (
            f"it needs {found['what']}, which was defined in a script or notebook (__main__): move it to a module, "
            "import it from there in training, save the bundle again, and name the module's folder in PYTHONPATH"
        )
    return f"it needs {found['what']}, which its module no longer has: {error}; take the version of training"


def _skew(found: Sequence[Warning | str]) -> tuple[str, ...]:
    """Return one warning where another version of scikit-learn has written the file; else nothing."""
    import sklearn  # see save_bundle
    from sklearn.exceptions import InconsistentVersionWarning

    written = {w.original_sklearn_version for w in found if isinstance(w, InconsistentVersionWarning)}
    if not written:
        return ()
    versions = f"{', '.join(sorted(written))}, here is {sklearn.__version__}"
    return (f"{MODEL} was saved with scikit-learn {versions}: it may predict otherwise; train it with this version",)
