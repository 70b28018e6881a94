import json
import sys

from requests_sse import EventSource


def listen(**options):
    with EventSource(sys.argv[1], **options) as source:
        for event in source:
            print(json.dumps({"event": event.type, "data": event.data, "id": event.last_event_id}))
            if event.type == "hub.closed":  # needed
                sys.exit()  # needed


listen()
