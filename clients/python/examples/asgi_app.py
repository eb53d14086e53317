"""An ASGI application that tracks its page views. EYE_URL and EYE_KEY name the server and a key.

`uvicorn asgi_app:application` serves it.
"""

import asyncio
import os

from theeye import ASGIMiddleware, Eye

eye = Eye(url=os.environ["EYE_URL"], key=os.environ["EYE_KEY"], on_error=print)


async def shop(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.to_thread(eye.close)
        await send({"type": "lifespan.shutdown.complete"})
        return
    eye.track("page interaction", "pageview", {"path": scope["path"]})
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"Welcome to the shop\n"})


application = ASGIMiddleware(shop)
