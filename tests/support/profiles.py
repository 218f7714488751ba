"""A profile for tests of windows."""

from __future__ import annotations

import numpy as np

from app.core.profile_builder import build_profile
from app.core.reference.profile import Profile


def profile() -> Profile:
    rng = np.random.default_rng(0)
    amount = rng.lognormal(3.0, 1.0, 2000)
    region = rng.choice(["north", "south", "west"], 2000).tolist()
    fraud = (rng.random(2000) < 0.1).astype(int).astype(str).tolist()
    return build_profile("m", "1", "binary", {"amount": amount, "region": region}, fraud, None, labels=("0", "1"))


PROFILE = profile()
