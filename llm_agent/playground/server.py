"""The page of `llm_agent.play`: a Starlette application and its server, reachable from this machine only (loopback).

``GET /`` is the page, ``/static`` its files, ``/plants`` the plants as JSON. ``/run`` solves one problem and streams
the events of `llm_agent.playground.session.Session.answer`, one JSON object a line.
"""

from __future__ import annotations

import json
import socket
import threading
import webbrowser
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_envs import SYSTEMS, System, get_system
from control_envs.envs import parse_state
from llm_agent.playground.session import Problem, Session

__all__ = ["HOST", "OwnPageOnly", "build_app", "listen", "read_problem", "serve"]

HOST = "127.0.0.1"
STATIC = Path(__file__).parent / "static"
FIELD = 15  # arrows along each axis of the vector field
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def build_app(session: Session, chosen: str) -> Starlette:
    """The application.

    Args:
        session: the session that solves the page's problems.
        chosen: the name of the plant selected at first.
    """

    async def page(request: Request) -> Response:
        return FileResponse(STATIC / "play.html")

    async def plants(request: Request) -> Response:
        described = [_describe(system, session) for system in map(get_system, dict.fromkeys([*SYSTEMS, chosen]))]
        return JSONResponse({"chosen": chosen, "plants": described})

    async def run(request: Request) -> Response:
        try:
            problem = read_problem(request.query_params)
        except ValueError as error:
            return PlainTextResponse(str(error), status_code=400)
        return _Lines(session.answer(problem))

    routes = [
        Route("/", page),
        Route("/plants", plants),
        Route("/run", run),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    # Checks the host because another site can make its own name resolve to this machine (DNS rebinding).
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]), Middleware(OwnPageOnly)]
    return Starlette(routes=routes, middleware=middleware)


class OwnPageOnly:
    """Middleware that refuses requests from other sites' pages, and adds security headers to every response."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        origin, path = Request(scope).headers.get("sec-fetch-site", "none"), scope["path"]
        if origin in ("none", "same-origin") or path == "/":  # other sites may link to the page
            await self._app(scope, receive, send_with_headers)
        else:
            refusal = PlainTextResponse("requests from other sites are refused", status_code=403)
            await refusal(scope, receive, send_with_headers)


def read_problem(query: Mapping[str, str]) -> Problem:
    """The problem of a query such as ``system=double_integrator&x0=0.4,-0.2&decoding=sampled&seed=3``.

    Raises:
        ValueError: there is no such plant, or x0, the decoding or the seed is invalid.
    """
    system = get_system(query.get("system", ""))
    x0 = parse_state(system, query.get("x0", ""), "x0")
    try:
        seed = int(query.get("seed", "0"))
    except ValueError:
        raise ValueError(f"seed must be a whole number, not {query['seed']!r}") from None
    decoding = query.get("decoding", "greedy")
    if decoding not in ("greedy", "sampled"):
        raise ValueError(f"decoding must be greedy or sampled, not {decoding!r}")
    return Problem(system, tuple(x0), decoding == "greedy", seed)


class _Lines(StreamingResponse):
    """Streams events as lines of JSON; generation stops when the page disconnects."""

    def __init__(self, events: Generator[dict[str, Any]]):
        self._events = events
        lines = (json.dumps(event, allow_nan=False) + "\n" for event in events)
        super().__init__(lines, media_type="application/x-ndjson")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._events.close()  # until the garbage collector closed it, the next problem would wait


def _describe(system: System, session: Session) -> dict[str, Any]:
    """A plant as JSON values for the page."""
    return {
        **system.to_dict(),
        "title": system.title.partition(" ")[2],
        "equation": system.equation_text,
        "state_names": system.state_names,
        "state_units": system.state_units,
        "control_names": system.control_names,
        "model": session.model_name(system),
        "made_for": session.made_for(system),
        "field": _field(system) if system.n == 2 else [],
    }


def _field(system: System) -> list[list[float]]:
    """The vector field without control, as rows (x1, x2, x1', x2') on a grid inside the state bounds."""
    axes = [np.linspace(low, high, FIELD + 2)[1:-1] for low, high in system.x_bounds]
    x = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    u = np.zeros((system.m, len(x)))
    dx = np.broadcast_arrays(*system.derivative((x[:, 0], x[:, 1]), u))
    return np.column_stack([x, *dx]).tolist()


class _Server(uvicorn.Server):
    """Stops the answer that is being generated when a signal arrives, so that the server ends at once."""

    def __init__(self, config: uvicorn.Config, session: Session):
        super().__init__(config)
        self._session = session

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._session.drop()
        super().handle_exit(sig, frame)


def listen(port: int) -> socket.socket:
    """A socket that listens on this machine's loopback address.

    Raises:
        ValueError: the port is taken, or the system does not allow it.
    """
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise ValueError(
            f"cannot listen on port {port} ({error.strerror}): give another --port, or 0 for a free one"
        ) from None


def serve(session: Session, chosen: str, sock: socket.socket, open_page: bool) -> None:
    """Serves the page until Ctrl-C."""
    url = f"http://{HOST}:{sock.getsockname()[1]}"
    config = uvicorn.Config(build_app(session, chosen), log_level="critical", timeout_graceful_shutdown=1)
    print(f"{url}  (Ctrl-C ends it)", flush=True)
    if open_page:
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
    _Server(config, session).run(sockets=[sock])
