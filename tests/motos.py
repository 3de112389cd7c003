"""moto as a server: a second opinion on S3 and CodeDeploy, for what it has of them."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


@asynccontextmanager
async def moto_server() -> AsyncIterator[Mapping[str, str]]:
    """Gives the variables that lead to it.

    Its conditional writes first look and then write, so one request goes at a time.
    """
    one_at_a_time = threading.Lock()
    application = DomainDispatcherApplication(create_backend_app)

    def locked(environ: Any, start_response: Any) -> Any:
        with one_at_a_time:
            return application(environ, start_response)

    server = make_server("127.0.0.1", 0, locked, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
    finally:
        await anyio.to_thread.run_sync(server.shutdown)
        thread.join()
        server.server_close()


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name for it
        pass
