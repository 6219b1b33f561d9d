"""The page of `llm_agent.play`: a Starlette application and what runs it, for this machine's loopback alone.

``GET /`` is the page, ``/static`` its parts, ``/plants`` the plants as JSON, and ``/fly`` answers a question with one
JSON object a line (`llm_agent.playground.session.Desk.answer`) as they come.
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
from llm_agent.playground.session import Question, Session

HOST = "127.0.0.1"
STATIC = Path(__file__).parent / "static"
FIELD = 15  # arrows along each axis of the picture of a plant's own motion
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
        chosen: the plant that the page begins with.
    """

    async def page(request: Request) -> Response:
        return FileResponse(STATIC / "play.html")

    async def plants(request: Request) -> Response:
        known = [_described(system, session) for system in SYSTEMS.values()]
        return JSONResponse({"chosen": chosen, "plants": known})

    async def fly(request: Request) -> Response:
        try:
            question = read_question(request.query_params)
        except ValueError as error:
            return PlainTextResponse(str(error), status_code=400)
        return _Lines(session.answer(question))

    routes = [
        Route("/", page),
        Route("/plants", plants),
        Route("/fly", fly),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    # The host is checked because a page from elsewhere can have its own name resolved to this machine (DNS rebinding).
    guards = [Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]), Middleware(OwnPageOnly)]
    return Starlette(routes=routes, middleware=guards)


class OwnPageOnly:
    """Refuses what another site's page asks for, and keeps the page to what comes from here."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        asked_by, path = Request(scope).headers.get("sec-fetch-site", "none"), scope["path"]
        if asked_by in ("none", "same-origin") or path == "/":  # a link to the page may stand anywhere
            await self._app(scope, receive, guarded)
        else:
            refused = PlainTextResponse("this page serves itself alone", status_code=403)
            await refused(scope, receive, guarded)


def read_question(said: Mapping[str, str]) -> Question:
    """The question of a query such as ``system=double_integrator&x0=0.4,-0.2&decoding=sampled&seed=3``.

    Raises:
        ValueError: it is none.
    """
    system = get_system(said.get("system", ""))
    try:
        x0 = tuple(float(number) for number in said.get("x0", "").split(","))
        seed = int(said.get("seed", "0"))
    except ValueError:
        raise ValueError("x0 must be numbers with commas between, and seed a whole number") from None
    decoding = said.get("decoding", "greedy")
    if decoding not in ("greedy", "sampled"):
        raise ValueError(f"decoding must be greedy or sampled, not {decoding!r}")
    return Question(system, x0, decoding == "greedy", seed)


class _Lines(StreamingResponse):
    """Events as lines of JSON, as they come; when the page goes away, the writing ends."""

    def __init__(self, events: Generator[dict[str, Any]]):
        self._events = events
        lines = (json.dumps(event, allow_nan=False) + "\n" for event in events)
        super().__init__(lines, media_type="application/x-ndjson")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._events.close()  # left to the garbage collector, it would keep the next question waiting


def _described(system: System, session: Session) -> dict[str, Any]:
    """A plant as the page needs it."""
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
    """Rows (x1, x2, x1', x2') of the plant left to itself, on a grid over its box."""
    axes = [np.linspace(low, high, FIELD + 2)[1:-1] for low, high in system.x_bounds]
    x = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    still = np.zeros((system.m, len(x)))
    moved = np.broadcast_arrays(*system.derivative((x[:, 0], x[:, 1]), still))
    return np.column_stack([x, *moved]).tolist()


class _Server(uvicorn.Server):
    """Drops the answer being written when it is told to end, so that it ends at once."""

    def __init__(self, config: uvicorn.Config, session: Session):
        super().__init__(config)
        self._session = session

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._session.drop()
        super().handle_exit(sig, frame)


def listen(port: int) -> socket.socket:
    """A socket of this machine's loopback.

    Raises:
        ValueError: the port is taken or not allowed.
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
