import json
import sys
import time

import requests
from sseclient import SSEClient

last_event_id = ""
retry = 3.0
is_closed = False
while not is_closed:
    headers = {"Accept": "text/event-stream"}
    if last_event_id:
        headers["Last-Event-ID"] = last_event_id
    try:
        # A stream may be silent until its next heartbeat.
        response = requests.get(sys.argv[1], headers=headers, stream=True, timeout=(10, 60))
        if response.status_code == 204:
            break
        for sse in SSEClient(response).events():
            last_event_id = sse.id or last_event_id
            retry = retry if sse.retry is None else int(sse.retry) / 1000
            is_closed = is_closed or sse.event == "hub.closed"
            print(json.dumps({"event": sse.event, "data": sse.data, "id": last_event_id}))
    except requests.RequestException:
        pass  # disconnected: reconnect
    if not is_closed:
        time.sleep(retry)
