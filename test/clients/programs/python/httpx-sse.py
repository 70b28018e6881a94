import json
import sys
import time

import httpx
from httpx_sse import connect_sse

last_event_id = ""
retry = 3.0
is_closed = False
# A stream may be silent until its next heartbeat; httpx gives up after 5 s by itself.
with httpx.Client(timeout=httpx.Timeout(10, read=60)) as client:
    while not is_closed:
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        try:
            with connect_sse(client, "GET", sys.argv[1], headers=headers) as source:
                if source.response.status_code == 204:
                    break
                for sse in source.iter_sse():
                    last_event_id = sse.id or last_event_id
                    retry = retry if sse.retry is None else sse.retry / 1000
                    is_closed = is_closed or sse.event == "hub.closed"
                    print(json.dumps({"event": sse.event, "data": sse.data, "id": last_event_id}))
        except httpx.TransportError:
            pass  # disconnected: reconnect
        if not is_closed:
            time.sleep(retry)
