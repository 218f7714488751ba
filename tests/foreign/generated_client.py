"""Use what openapi-python-client has made, and print what came back; run by the Python that has its libraries.

Arguments: the folder of the package `generated`, and the API's address.
"""

from __future__ import annotations

import json
import sys

sys.path.insert(0, sys.argv[1])

from generated import AuthenticatedClient
from generated.api.alerts import list_alerts
from generated.api.events import send_feedback, send_predictions
from generated.api.models import list_models
from generated.api.status import get_health
from generated.models import IncomingFeedback, IncomingPrediction


def main() -> None:
    """Run it."""
    event = {
        "model": "m", "model_version": "1", "timestamp": "2026-01-02T03:04:05Z", "prediction": "yes",
        "probability": 0.5, "features": {"age": 30, "plan": None},
    }  # fmt: skip
    one = IncomingPrediction.from_dict({"prediction_id": "generated-1", **event})
    more = [IncomingPrediction.from_dict({"prediction_id": f"generated-{i}", **event}) for i in (2, 3)]
    with AuthenticatedClient(base_url=sys.argv[2], token="none") as client:
        found = {
            "health": get_health.sync(client=client),
            "one": send_predictions.sync(client=client, body=one),
            "more": send_predictions.sync(client=client, body=more),
            "truth": send_feedback.sync(client=client, body=IncomingFeedback("generated-1", "no")),
            "alerts": list_alerts.sync(client=client),
            "models": list_models.sync(client=client),
        }
    json.dump({name: [type(value).__name__, value.to_dict()] for name, value in found.items()}, sys.stdout)


if __name__ == "__main__":
    main()
