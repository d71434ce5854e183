"""The live window: without a display it is known in time, before OpenCV ends the process."""

import sys

import pytest

from hpe.inference import display


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="displays are named by variables on Linux")
def test_no_display(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not display.display_available()


def test_a_display_that_is_not_there(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    if sys.platform.startswith("linux"):
        assert not display.display_available()
