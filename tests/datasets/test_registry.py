"""The list of datasets: every reader is in the table of docs/datasets.md, with a licence."""

import dataclasses
import pathlib
import re

import pytest

from hpe import datasets
from hpe.datasets.source import Source
from hpe.errors import SettingError

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "datasets.md"


def test_the_page_shows_every_reader_and_no_other():
    rows = [line.split("|")[1:-1] for line in PAGE.read_text().splitlines() if line.startswith("| `--")]
    shown = {flag for row in rows for flag in re.findall(r"`--(\w+)", row[0])}
    assert all(row[-1].strip() for row in rows)
    flags = {
        name: {field.name for field in dataclasses.fields(datasets.get(name).config)}
        for name in datasets.names()
    }
    assert [name for name, own in flags.items() if not own & shown] == []
    assert shown - set().union(*flags.values()) == set()


def test_public_datasets_say_where_they_come_from():
    without = [name for name in datasets.names() if not datasets.get(name).provenance.licence]
    # What is yours is yours, and recordings differ from file to file.
    assert without == ["own", "mocap"]


def test_a_source_takes_the_provenance_of_its_entry():
    entry = dataclasses.replace(datasets.get("flic"), open=lambda *_: [Source("a", "lsp14", [], print)])
    (source,) = entry.sources(None, None)
    assert source.provenance.source == "FLIC"


def test_what_another_code_made_of_a_dataset_is_refused_with_a_word_on_what_to_use(tmp_path):
    derived = tmp_path / "mpii3d_train_db.pt"
    derived.write_bytes(b"\x80\x04")
    for name in ("mpi_inf_3dhp", "pw3d"):
        entry = datasets.get(name)
        with pytest.raises(
            SettingError, match=r"mpii3d_train_db\.pt: is what another code made.*folder of the dataset"
        ):
            entry.sources(entry.config(**{name: str(derived)}), datasets.WriteConfig())
