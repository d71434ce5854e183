"""What is written while a module is imported: held back, shown when asked for, and when the import fails."""

import os
import subprocess
import sys

import pytest

_NOISY = "import os\nos.write(2, b'a note from C++\\n')\n"


def import_of(source, folder, **environment):
    (folder / "noisy.py").write_text(source)
    code = "from hpe.backends.quiet import import_quietly; import_quietly('noisy')"
    paths = os.pathsep.join([str(folder), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "HPE_VERBOSE": "", "PYTHONPATH": paths, **environment},
    )


@pytest.mark.parametrize(("verbose", "said"), [("", ""), ("1", "a note from C++\n")])
def test_notes_are_held_back_unless_asked_for(tmp_path, verbose, said):
    done = import_of(_NOISY, tmp_path, HPE_VERBOSE=verbose)
    assert (done.returncode, done.stderr) == (0, said)


def test_an_import_that_fails_says_all_that_was_held(tmp_path):
    done = import_of(f"{_NOISY}raise ImportError('no wheel')\n", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("a note from C++\n")
    assert "no wheel" in done.stderr
