"""The page's server, called over real sockets as browsers and strangers call it."""

import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import socket
import threading
import time

import cv2
import numpy as np
import pytest
import uvicorn

import hpe
from hpe.app.server import application
from hpe.app.work import Limits, Worker
from tests.conftest import PATIENCE


class Quick:
    """Makes a page of any file without looking for people."""

    limits = Limits(megabytes=0.05)

    def __init__(self):
        self.seen = []
        self.go = threading.Event()
        self.go.set()

    def page(self, path, name, wishes, job):
        assert self.go.wait(PATIENCE)
        self.seen.append((pathlib.Path(path), pathlib.Path(path).read_bytes(), wishes))
        return f"<p>{name}</p>"

    def frame(self, encoded, wishes):
        return encoded


@contextlib.contextmanager
def serving(worker, **options):
    """Serves and yields the port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(200)
    app = application(worker, presets=["lightning", "thunder"], **options)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listener.close()


def ask(port, path, method="GET", body=None, host=None, **headers):
    """Returns status and content of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {"Host": host or f"127.0.0.1:{port}", **names})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def finished(port, number):
    deadline = time.monotonic() + PATIENCE
    while True:
        (job,) = [job for job in json.loads(ask(port, "/jobs")[1]) if job["number"] == number]
        if job["state"] not in ("waiting", "running"):
            return job
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_file_becomes_a_page_and_its_upload_goes():
    worker = Quick()
    with serving(worker) as port:
        status, content = ask(port, "/")
        assert status == 200
        assert b"Everything stays on this machine" in content
        status, content = ask(port, "/jobs?name=..%2F..%2Fetc%2Fa%20b.jpg&preset=thunder", "POST", b"bytes")
        assert status == 201
        number = json.loads(content)["number"]
        assert finished(port, number)["name"] == "a b.jpg"
        assert ask(port, f"/jobs/{number}/page") == (200, b"<p>a b.jpg</p>")
        ((path, received, wishes),) = worker.seen
        assert received == b"bytes"
        assert wishes.preset == "thunder"
        assert "etc" not in str(path)
        assert not path.exists()
        assert ask(port, f"/jobs/{number}", "DELETE")[0] == 200
        assert ask(port, f"/jobs/{number}/page")[0] == 404
        folder = path.parent
        assert folder.exists()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/jobs?name=a", b"x" * 60_000, 413, "larger than 0.05 MB"),
        ("/jobs?name=a", b"", 400, "The file is empty"),
        ("/jobs?name=a&preset=../../x", b"x", 400, "must be one of lightning, thunder"),
        ("/jobs?name=a&focal=wide", b"x", 400, "is a number of pixels"),
        ("/jobs?name=a&focal=nan", b"x", 400, "must be between 1 and"),
        ("/frame", b"x" * 9_000_000, 413, "too large"),
    ],
)
def test_what_is_too_much_or_wrong_is_one_line(path, body, status, message):
    with serving(Quick()) as port:
        found, content = ask(port, path, "POST", body)
        assert found == status
        assert message in json.loads(content)["error"]


def test_other_pages_and_other_names_are_refused():
    with serving(Quick()) as port:
        assert ask(port, "/", host="evil.example")[0] == 403
        assert ask(port, "/", host="192.0.2.7")[0] == 403
        assert ask(port, "/", host=f"localhost:{port}")[0] == 200
        assert ask(port, "/jobs?name=a", "POST", b"x", Origin="http://evil.example")[0] == 403
        assert ask(port, "/jobs?name=a", "POST", b"x", Origin=f"http://127.0.0.1:{port}")[0] == 201
        assert ask(port, "/..%2f..%2fetc/passwd")[0] == 404


def test_elsewhere_the_token_is_wanted():
    with serving(Quick(), hosts=("127.0.0.1",), token="secret") as port:
        for path, headers, status in (
            ("/", {}, 403),
            ("/?token=wrong", {}, 403),
            ("/?token=secret", {}, 200),
            ("/jobs", {"x_hpe_token": "secret"}, 200),
            ("/jobs", {"x_hpe_token": "secrét"}, 403),
        ):
            assert (
                ask(port, path, **{name: value.encode("utf-8") for name, value in headers.items()})[0]
                == status
            )
        # By whichever of the machine's addresses; a name may be led to it by its owner.
        for host, status in (("192.0.2.7", 200), (f"[fe80::7]:{port}", 200), ("evil.example", 403)):
            assert ask(port, "/?token=secret", host=host)[0] == status
        assert ask(port, "/", host="192.0.2.7")[0] == 403


def test_a_hundred_uploads_at_once_and_half_ones_leave_it_standing():
    worker = Quick()
    with serving(worker, most_jobs=5) as port:
        worker.go.clear()
        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            answers = list(
                pool.map(lambda k: ask(port, f"/jobs?name={k}", "POST", b"x" * 20_000)[0], range(100))
            )
        assert answers.count(201) == 5
        assert answers.count(429) == 95
        # Somebody sends a part and goes.
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port)) as half:
                head = f"POST /jobs?name=half HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 9000"
                half.sendall(f"{head}\r\n\r\nsome".encode())
        worker.go.set()
        deadline = time.monotonic() + PATIENCE
        while any(job["state"] != "done" for job in json.loads(ask(port, "/jobs")[1])):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        folder = worker.seen[0][0].parent
        while list(folder.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert ask(port, "/")[0] == 200


def test_a_real_picture_and_what_is_none():
    worker = Worker(hpe.load, Limits())
    picture = np.full((128, 128, 3), 127, np.uint8)
    encoded = cv2.imencode(".png", picture)[1].tobytes()
    with serving(worker) as port:
        _, content = ask(port, "/jobs?name=she.png&detector=none", "POST", encoded)
        number = json.loads(content)["number"]
        assert finished(port, number)["state"] == "done"
        page = ask(port, f"/jobs/{number}/page")[1].decode()
        assert "<title>she.png</title>" in page
        assert "she.glb" in page
        _, content = ask(port, "/jobs?name=notes.txt", "POST", b"no picture at all")
        job = finished(port, json.loads(content)["number"])
        assert job["message"].startswith("notes.txt: is neither an image, a folder nor a video")
        status, content = ask(port, "/frame?detector=none", "POST", encoded)
        assert status == 200
        assert cv2.imdecode(np.frombuffer(content, np.uint8), 1).shape == (128, 128, 3)
        assert ask(port, "/frame", "POST", b"none")[0] == 400
