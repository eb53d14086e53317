"""A WSGI application that tracks its page views. EYE_URL and EYE_KEY name the server and a key.

python3 wsgi_app.py serves it on port 8000; `gunicorn --preload wsgi_app:application` does so with
more processes.
"""

import os
from wsgiref.simple_server import make_server

from theeye import Eye, WSGIMiddleware

eye = Eye(url=os.environ["EYE_URL"], key=os.environ["EYE_KEY"], on_error=print)


def shop(environ, start_response):
    eye.track("page interaction", "pageview", {"path": environ["PATH_INFO"]})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Welcome to the shop\n"]


application = WSGIMiddleware(shop)

if __name__ == "__main__":
    with make_server("127.0.0.1", int(os.environ.get("PORT", "8000")), application) as server:
        server.serve_forever()
