"""The page's server: files in, jobs and pages out, for this machine alone unless told otherwise.

A page of another site that the same browser shows must not reach it: every request's Host is checked, and of those
that change something the Origin. Where it listens to other machines, its address carries a token that nobody
guesses. No path ever comes from the browser: uploads get names of their own in a private folder.
"""

from __future__ import annotations

import contextlib
import functools
import hmac
import ipaddress
import pathlib
import secrets
import shutil
import tempfile
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from hpe.app.jobs import Full, Jobs, State
from hpe.app.work import Wishes, Worker
from hpe.errors import SettingError, UserError

_PAGE = pathlib.Path(__file__).parent / "assets" / "app.html"

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_TOKEN_HEADER = "x-hpe-token"
_LONGEST_NAME = 200
# One frame of a camera.
_LARGEST_FRAME = 8_000_000
# Uploads at once; more are told to wait.
_UPLOADS = 8

# Nothing from elsewhere is loaded; results are pages of their own in a frame without rights to this one.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "connect-src 'self'; frame-src 'self' blob:; base-uri 'none'; form-action 'none'"
)
_RESULT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)


class Guard:
    """Refuses requests whose Host, Origin or token is not ours, before anything is read of them.

    Args:
        app: what is guarded.
        hosts: names under which the server may be called, without port; with a token, any bare address besides.
        token: that requests must carry, or None.
    """

    def __init__(self, app, hosts: Sequence[str], token: str | None):
        self._app, self._hosts, self._token = app, {host.lower() for host in hosts}, token

    async def __call__(self, scope, receive, send):
        """Answers one request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        refusal = self._refusal(request)
        if refusal:
            await JSONResponse({"error": refusal}, 403)(scope, receive, send)
            return

        async def guarded(message):
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", _POLICY)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Cache-Control"] = "no-store"
            await send(message)

        await self._app(scope, receive, guarded)

    def _refusal(self, request: Request) -> str | None:
        host = request.headers.get("host", "")
        name = _name(host)
        # Another page's name may be led here, a bare address may not; this machine may not know all of its own.
        if name not in self._hosts and (self._token is None or not _is_address(name)):
            return "This server does not answer under that name."
        origin = request.headers.get("origin")
        if request.method != "GET" and origin is not None and origin.partition("://")[2] != host:
            return "Another page asks."
        if self._token is not None:
            given = request.headers.get(_TOKEN_HEADER) or request.query_params.get("token") or ""
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                return "The address lacks its token: use the one that the program printed."
        return None


def _name(host: str) -> str:
    """Returns the name of a Host header without its port, in small letters."""
    name, _, port = host.rpartition(":")
    return (name if name and port.isdigit() else host).lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


class App:
    """The server's state: jobs, models and the private folder.

    Args:
        worker: what is done with files.
        presets: names of the models to choose from.
        most_jobs: how many may wait at once.
    """

    def __init__(self, worker: Worker, *, presets: Sequence[str], most_jobs: int = 16):
        self._worker, self._presets = worker, list(presets)
        self._jobs = Jobs(most_jobs)
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="hpe_app_"))
        self._uploads = 0
        self._frames = 0

    def close(self) -> None:
        """Stops the jobs and removes the folder."""
        self._jobs.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def routes(self) -> list[Route]:
        """Returns what may be asked for."""
        return [
            Route("/", self._page),
            Route("/options", self._options),
            Route("/jobs", self._list),
            Route("/jobs", self._add, methods=["POST"]),
            Route("/jobs/{number}", self._cancel, methods=["DELETE"]),
            Route("/jobs/{number}/page", self._result),
            Route("/frame", self._frame, methods=["POST"]),
        ]

    async def _page(self, request: Request) -> Response:
        return HTMLResponse(_PAGE.read_text(encoding="utf-8"))

    async def _options(self, request: Request) -> Response:
        limits = self._worker.limits
        return JSONResponse(
            {
                "presets": self._presets,
                "megabytes": limits.megabytes,
                "megapixels": limits.megapixels,
                "seconds": limits.seconds,
            }
        )

    async def _list(self, request: Request) -> Response:
        return JSONResponse([job.describe() for job in self._jobs.all()])

    async def _add(self, request: Request) -> Response:
        if self._uploads >= _UPLOADS:
            return _error("Too many files arrive at once; try again in a moment.", 429)
        self._uploads += 1
        path = self._folder / secrets.token_hex(12)
        try:
            wishes = self._wishes(request)
            name = _clean(request.query_params.get("name", ""))
            await self._receive(request, path)

            def work(job):
                return self._worker.page(path, name, wishes, job)

            job = self._jobs.add(name, work, ended=functools.partial(path.unlink, missing_ok=True))
        except _TooLarge as error:
            path.unlink(missing_ok=True)
            return _error(str(error), 413)
        except Full as error:
            path.unlink(missing_ok=True)
            return _error(str(error), 429)
        except UserError as error:
            path.unlink(missing_ok=True)
            return _error(str(error), 400)
        except ClientDisconnect:
            path.unlink(missing_ok=True)
            return Response(status_code=400)
        finally:
            self._uploads -= 1
        return JSONResponse(job.describe(), 201)

    async def _receive(self, request: Request, path: pathlib.Path) -> None:
        """Writes a body to a file, no more of it than is allowed."""
        most = int(self._worker.limits.megabytes * 1e6)
        message = (
            f"The file is larger than {self._worker.limits.megabytes:g} MB, the most that is taken here."
        )
        claimed = request.headers.get("content-length", "")
        if claimed.isdigit() and int(claimed) > most:
            raise _TooLarge(message)
        received = 0
        with open(path, "wb") as file:
            async for chunk in request.stream():
                received += len(chunk)
                if received > most:
                    raise _TooLarge(message)
                await run_in_threadpool(file.write, chunk)
        if not received:
            raise UserError("The file is empty.")

    def _wishes(self, request: Request) -> Wishes:
        given = request.query_params
        preset = given.get("preset") or self._presets[0]
        if preset not in self._presets:
            raise SettingError("preset", f"must be one of {', '.join(self._presets)}.", preset)
        try:
            focal = float(given["focal"]) if given.get("focal") else None
        except ValueError:
            raise SettingError("focal", "is a number of pixels.", given["focal"]) from None
        return Wishes(preset, given.get("detector") != "none", given.get("smoothing") != "none", focal)

    async def _cancel(self, request: Request) -> Response:
        job = self._jobs.get(request.path_params["number"])
        if job is None:
            return _error("There is no such job.", 404)
        self._jobs.cancel(job)
        return JSONResponse(job.describe())

    async def _result(self, request: Request) -> Response:
        job = self._jobs.get(request.path_params["number"])
        if job is None or job.state is not State.DONE:
            return _error("There is no such result.", 404)
        return HTMLResponse(job.result, headers={"Content-Security-Policy": _RESULT_POLICY})

    async def _frame(self, request: Request) -> Response:
        if self._frames:
            return _error("The last frame is still being looked at.", 429)
        self._frames += 1
        try:
            wishes = self._wishes(request)
            body = bytearray()
            async for chunk in request.stream():
                body += chunk
                if len(body) > _LARGEST_FRAME:
                    raise _TooLarge("The frame is too large.")
            drawn = await run_in_threadpool(self._worker.frame, bytes(body), wishes)
        except _TooLarge as error:
            return _error(str(error), 413)
        except UserError as error:
            return _error(str(error), 400)
        except ClientDisconnect:
            return Response(status_code=400)
        finally:
            self._frames -= 1
        return Response(drawn, media_type="image/jpeg")


class _TooLarge(Exception):
    """More was sent than is taken."""


def _error(message: str, status: int) -> Response:
    return JSONResponse({"error": message}, status)


def _clean(name: str) -> str:
    """Returns the last part of a name that a browser sent, to be shown and no more."""
    name = name.replace("\\", "/").rpartition("/")[2]
    name = "".join(letter for letter in name if letter.isprintable())[:_LONGEST_NAME].strip()
    return name or "file"


def application(
    worker: Worker,
    *,
    presets: Sequence[str],
    hosts: Sequence[str] = LOOPBACK,
    token: str | None = None,
    most_jobs: int = 16,
) -> Guard:
    """Returns the server as an ASGI application; its folder goes when it is shut down.

    Args:
        worker: what is done with files.
        presets: names of the models to choose from, the default first.
        hosts: names under which it may be called.
        token: that every request must carry, in its address or in the header `x-hpe-token`; None for none.
        most_jobs: how many may wait at once.
    """
    state = App(worker, presets=presets, most_jobs=most_jobs)

    @contextlib.asynccontextmanager
    async def lifespan(app):
        try:
            yield
        finally:
            await run_in_threadpool(state.close)

    return Guard(Starlette(routes=state.routes(), lifespan=lifespan), hosts, token)
