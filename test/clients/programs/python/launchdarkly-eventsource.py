import json
import sys

from ld_eventsource import SSEClient
from ld_eventsource.config import ErrorStrategy  # needed
from ld_eventsource.errors import HTTPStatusError  # needed


def stop_at_status(error):  # needed
    return ErrorStrategy.FAIL if isinstance(error, HTTPStatusError) else ErrorStrategy.CONTINUE, None  # needed


options = {}
options["error_strategy"] = ErrorStrategy.from_lambda(stop_at_status)  # needed
client = SSEClient(sys.argv[1], **options)
for event in client.events:
    print(json.dumps({"event": event.event, "data": event.data, "id": event.last_event_id or ""}))
    if event.event == "hub.closed":  # needed
        break  # needed
