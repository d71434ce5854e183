"""Reports as pages: numbers that were written are shown, of one run or of several beside each other."""

import html.parser
import json
import re

import numpy as np
import pytest

from hpe.errors import UserError
from hpe.evaluation.charts import bars, curves, histogram, number
from hpe.evaluation.html_report import comparison, read_report, to_html
from hpe.evaluation.report import Metric, to_json
from hpe.programs import cli, compare
from tests.programs.running import run


def a_run(folder, mpjpe, *, pck=0.5):
    """What a training and its validation leave."""
    metrics = [
        Metric("images", 3),
        Metric("mpjpe@lsp14", mpjpe, "mm", 3, better="lower"),
        Metric("pck@0.2", pck, "", 3, better="higher"),
        Metric("iou", float("nan"), reason="no mask <here>"),
        Metric("mpjpe@lsp14/left_knee", 80.0, "mm", 3, better="lower", group="joint"),
        Metric("mpjpe@lsp14/right_knee", 40.0, "mm", 3, better="lower", group="joint"),
    ]
    details = {"checkpoint": "a <b>", "samples": {"name": list("abc"), "mpjpe@lsp14": [10.0, None, 200.0]}}
    (folder / "validation").mkdir(parents=True)
    (folder / "validation" / "metrics.json").write_text(to_json(metrics, details=details))
    rows = [
        {"step": k, "epoch": k / 2, "kind": kind, "values": {name: 100.0 / k, "other": None, "images": 3}}
        for k in range(1, 5)
        for kind, name in (("train", "loss/total"), ("validation", "pck@0.2"))
    ]
    (folder / "history.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows) + '{"step": 5, "epo'
    )
    (folder / "params.json").write_text('{"seed": 7}')
    (folder / "validation" / "best.png").write_bytes(b"\x89PNG")
    return folder


class Well(html.parser.HTMLParser):
    """Counts tags, which must close in the order in which they opened."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_report_shows_what_was_measured(tmp_path):
    report = read_report(a_run(tmp_path / "run", 120.0))
    np.testing.assert_array_equal(report.samples["mpjpe@lsp14"], [10, np.nan, 200])
    page = to_html([report], title="run <1>", command="python -m x")
    seen = Well(page).seen
    assert "run &lt;1&gt;" in page
    assert "a &lt;b&gt;" in page
    assert re.search(r'mpjpe@lsp14</td><td class="number">120</td><td>mm</td><td class="quiet">lower', page)
    assert re.search(r'iou</td><td class="number">-</td>', page)
    # Curves of the loss and of the metric, none of the count; a distribution, bars of the joints; the picture.
    assert seen.count("svg") == 4
    assert seen.count("img") == 1
    assert '"seed": 7' in page.replace("&quot;", '"')


def test_two_runs_stand_beside_each_other_and_the_better_is_marked(tmp_path, capsys):
    runs = [a_run(tmp_path / "a", 120.0, pck=0.4), a_run(tmp_path / "b", 110.0, pck=0.3)]
    text = comparison([read_report(run) for run in runs])
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines()}
    assert lines["metric"] == ["a", "b", "unit"]
    assert lines["mpjpe@lsp14"] == ["120", "*110", "mm"]
    assert lines["pck@0.2"] == ["*0.400", "0.300"]
    assert lines["images"] == ["3", "3"]
    Well(to_html([read_report(run) for run in runs], title="both"))


@pytest.mark.parametrize("content", ["{", "[]", '{"metrics": 3}'])
def test_what_is_no_report_is_one_line(tmp_path, content):
    with pytest.raises(UserError, match="measure it first"):
        read_report(tmp_path)
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(UserError, match=r"cannot be read|is no report"):
        read_report(tmp_path)


def test_what_the_training_measured_last_is_enough(tmp_path):
    run = a_run(tmp_path / "a", 120.0)
    (run / "validation" / "metrics.json").rename(run / "validation.json")
    report = read_report(run)
    assert (report.name, report.metrics["mpjpe@lsp14"]["value"], report.settings) == ("a", 120.0, {"seed": 7})
    assert report.history


def test_the_program_prints_the_table_and_writes_the_page(tmp_path, capsys):
    runs = [str(a_run(tmp_path / name, 100.0 + size)) for name, size in (("a", 1), ("b", 2))]
    assert "compare" in cli.overview()
    run(compare, *runs, f"--output={tmp_path / 'c.html'}")
    assert "*101" in capsys.readouterr().out
    assert "<title>a and b</title>" in (tmp_path / "c.html").read_text()


def test_charts_hold_their_numbers():
    chart = curves({"a": [(0, 1.0), (1, float("nan")), (2, 3.0)]}, x_label="epoch")
    assert "a: 3.00 at 2.00" in chart
    assert chart.count("<circle") == 2
    # The numbers of the axis lie within the chart, also long ones (6 units a letter).
    chart = curves({"a": [(0, 1.0), (2e9, 3.0)]})
    middles = [
        (float(x), len(text)) for x, text in re.findall(r'<text x="([\d.]+)" y="201".*?>(.*?)<', chart)
    ]
    assert len(middles) == 5
    assert all(x - 3 * letters >= 0 and x + 3 * letters <= 460 for x, letters in middles)
    shares = [
        float(share) for share in re.findall(r": ([\d.]+) % from", histogram({"x": np.arange(100.0)}, bins=4))
    ]
    assert sum(shares) == pytest.approx(100, abs=0.5)
    widths = [
        float(width)
        for width in re.findall(
            r'<rect x="150" y="[\d.]+" width="([\d.]+)"', bars({"r": {"a": 2.0, "b": 1.0}})
        )
    ]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.2)
    for empty in (curves({}), histogram({}), bars({}), histogram({"a": np.array([np.nan])})):
        assert "nothing was measured" in empty


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.12345, "0.123"), (1234.5, "1234"), (1e9, "1.00e+09")]
)
def test_numbers_say_three_digits(value, text):
    assert number(value) == text
