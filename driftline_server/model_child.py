"""`python -P -m driftline_server.model_child`: a served model's process, which `api/served/model_process.py` starts."""

import sys

from api.served.model_child import main

sys.exit(main())
