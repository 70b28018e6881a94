import asyncio
import json
import sys

from aiohttp import ClientError  # needed
from aiohttp import ClientTimeout
from aiohttp_sse_client2.client import EventSource

# aiohttp ends every request after 5 minutes by itself.
options = {"timeout": ClientTimeout(total=None, sock_read=60)}


async def listen():
    async with EventSource(sys.argv[1], **options) as source:
        async for event in source:
            name = event.message or "message"
            print(json.dumps({"event": name, "data": event.data, "id": event.last_event_id}))
            options["headers"] = {"Last-Event-ID": event.last_event_id}  # needed
            if name == "hub.closed":  # needed
                sys.exit()  # needed


async def listen_again():  # needed
    while True:  # needed
        try:  # needed
            await listen()  # needed
        except ClientError:  # needed
            await asyncio.sleep(3)  # needed


asyncio.run(listen_again())  # needed
asyncio.run(listen())
