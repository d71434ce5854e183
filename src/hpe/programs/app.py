"""`hpe app`: a page on this machine that takes pictures, clips and a camera, and shows the people in them."""

from __future__ import annotations

import dataclasses
import secrets
import socket
import webbrowser

from hpe.errors import SettingError, UserError
from hpe.options import option
from hpe.programs import flags as program_flags

_LOCAL = "127.0.0.1"


@dataclasses.dataclass(frozen=True)
class AppConfig:
    """Where the page is, and what it takes."""

    host: str = option(
        _LOCAL,
        "Address to listen on. Only this machine reaches the default; with any other the page's address carries a "
        "token, which whoever has it may use.",
    )
    port: int = option(8731, "Port to listen on; 0 takes a free one.")
    open: bool = option(True, "Open the page in the browser.")
    checkpoint: str | None = option(
        None, "A run, a checkpoint or released weights to choose besides the presets, shown first."
    )
    max_megabytes: float = option(200.0, "Largest file that is taken.")
    max_megapixels: float = option(100.0, "Largest picture that is taken.")
    max_seconds: float = option(120.0, "Longest clip that is taken.")
    max_jobs: int = option(16, "How many files may wait at once.")

    def __post_init__(self):
        if not 0 <= self.port <= 65535:
            raise SettingError("port", "must be between 0 and 65535.", self.port)
        for name in ("max_megabytes", "max_megapixels", "max_seconds", "max_jobs"):
            if getattr(self, name) <= 0:
                raise SettingError(name, "must be above 0.", getattr(self, name))


def main() -> None:
    """Serves the page until Ctrl-C."""
    config = program_flags.read(AppConfig)
    listener = _listen(config)
    try:
        import uvicorn

        from hpe.app.server import LOOPBACK, application
    except ImportError as error:
        raise UserError(f"hpe app needs {error.name}: pip install 'hpe[app]'.") from None
    import hpe
    from hpe.app.work import Limits, Worker
    from hpe.inference.model import Model
    from hpe.programs.loading import open_quietly

    local = config.host in (_LOCAL, "localhost", "::1")
    token = None if local else secrets.token_urlsafe(24)
    own = config.checkpoint
    presets = ([own] if own else []) + sorted(hpe.list_models())
    worker = Worker(
        lambda preset: Model.of(open_quietly(preset)),
        Limits(config.max_megabytes, config.max_megapixels, config.max_seconds),
    )
    # A wrong checkpoint is told now; and the first picture need not wait for it.
    worker.model(presets[0])
    name = socket.gethostname()
    hosts = LOOPBACK if local else (*LOOPBACK, config.host, name, f"{name}.local")
    address = f"http://{reached(config.host)}:{listener.getsockname()[1]}/"
    if token:
        address += f"?token={token}"
    print(f"open {address} in a browser; nothing leaves this machine; Ctrl-C ends it", flush=True)
    if config.open and local:
        webbrowser.open(address)
    app = application(worker, presets=presets, hosts=hosts, token=token, most_jobs=config.max_jobs)
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", limit_concurrency=256, timeout_keep_alive=5, lifespan="on")
    )
    server.run(sockets=[listener])


def _listen(config: AppConfig) -> socket.socket:
    """Returns a socket that listens; whether it can is known before any network is loaded."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise UserError(
            f"cannot listen on {config.host}, port {config.port} ({error.strerror or error}); choose another with "
            "--port, or --port=0 for a free one."
        ) from None
    return listener


def reached(host: str) -> str:
    """Returns where a page is reached, as the address of the page has it.

    Args:
        host: what is listened on; of every address of the machine, that of its way out is told, which others know
            rather than the machine's name.
    """
    if host in ("0.0.0.0", "::"):
        try:
            # Nothing is sent by it; the address is one kept for documentation.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
                way.connect(("192.0.2.1", 9))
                host = way.getsockname()[0]
        except OSError:
            host = socket.gethostname()
    return f"[{host}]" if ":" in host else host


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(AppConfig)


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("app")
