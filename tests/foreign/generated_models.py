"""Use what datamodel-code-generator has made, and print what came back; run by the Python that has its libraries.

Arguments: the folder of the module `models_of_openapi`, and the API's address.
"""

from __future__ import annotations

import json
import sys

sys.path.insert(0, sys.argv[1])

import httpx
import models_of_openapi as models


def main() -> None:
    """Run it."""
    event = models.IncomingPrediction(
        prediction_id="modelled-1", model="m", model_version="1", prediction="yes", features={"age": 30, "plan": None}
    )
    with httpx.Client(base_url=sys.argv[2], trust_env=False, timeout=30) as http:
        document = event.model_dump_json(exclude_unset=True)
        sent = http.post("/predictions", content=document, headers={"content-type": "application/json"})
        found = {
            "accepted": models.Accepted.model_validate_json(sent.text),
            "health": models.Health.model_validate_json(http.get("/health").text),
            "alerts": models.AllAlerts.model_validate_json(http.get("/alerts").text),
            "models": models.Models.model_validate_json(http.get("/models").text),
        }
    json.dump({name: value.model_dump(mode="json") for name, value in found.items()}, sys.stdout)


if __name__ == "__main__":
    main()
