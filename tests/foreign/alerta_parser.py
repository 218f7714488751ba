"""Read webhooks' payloads as Alerta does, and print what its alerts are; run by the Python that has Alerta.

Standard input: a JSON list of payloads. Standard output: of each a list of Alerta's alerts.
"""

from __future__ import annotations

import json
import os
import sys

os.environ["DATABASE_URL"] = "mongodb://127.0.0.1:1/none"  # named when it is imported, never connected to

from alerta.app import alarm_model
from alerta.models.alarms.alerta import SEVERITY_MAP
from alerta.webhooks.prometheus import parse_prometheus
from flask import Flask

SETTINGS = {
    "DEFAULT_ENVIRONMENT": "Production", "ALLOWED_ENVIRONMENTS": ["Production"], "DEFAULT_NORMAL_SEVERITY": "normal",
    "ALERT_TIMEOUT": 0, "HEARTBEAT_TIMEOUT": 0, "ALARM_MODEL": "ALERTA", "SEVERITY_MAP": {}, "COLOR_MAP": {},
    "DEFAULT_INFORM_SEVERITY": "", "DEFAULT_PREVIOUS_SEVERITY": "",
}  # fmt: skip


def main() -> None:
    """Run it."""
    app = Flask("receiver")
    app.config.update(SETTINGS)
    alarm_model.init_app(app)
    with app.app_context():
        read = [
            [
                {
                    "key": [one.environment, one.resource, one.event], "severity": one.severity,
                    "known": one.severity in SEVERITY_MAP, "service": one.service,
                }
                for one in (parse_prometheus(alert, payload["externalURL"]) for alert in payload["alerts"])
            ]
            for payload in json.load(sys.stdin)
        ]  # fmt: skip
    json.dump(read, sys.stdout)


if __name__ == "__main__":
    main()
