"""The timing helper under a clock that only moves when a variant says so."""

import pytest

from benchmarks.timing import Measurement, Turns, compare, interleaved, milliseconds, per_second, table


class Machine:
    """A clock, a processor clock, and variants that take their time from them."""

    def __init__(self):
        self.now = 0.0
        self.used = 0.0
        self.slowness = 1.0
        self.calls = []

    def variant(self, name, seconds, *, processor=None):
        def call():
            self.calls.append(name)
            self.now += seconds * self.slowness
            self.used += seconds if processor is None else processor

        return call

    def measure(self, variants, **options):
        clocks = {"clock": lambda: self.now, "processor_clock": lambda: self.used}
        return interleaved(variants, **(clocks | options))


def test_variants_take_turns():
    machine = Machine()
    variants = {"a": machine.variant("a", 1.0), "b": machine.variant("b", 1.0)}
    machine.measure(variants, rounds=3, warm_up=False)
    assert machine.calls == ["a", "b"] * 3


def test_the_warm_up_is_not_measured():
    machine = Machine()
    plain = machine.variant("a", 1.0)

    def compiles_first():
        if not machine.calls:
            machine.now += 100.0
        plain()

    times = machine.measure({"a": compiles_first}, rounds=2)["a"]
    assert times.seconds == (1.0, 1.0)
    assert len(machine.calls) == 2 + 2


def test_a_turn_repeats_short_calls_and_reports_one():
    machine = Machine()
    times = machine.measure({"a": machine.variant("a", 0.125, processor=0.25)}, rounds=2, turn_seconds=1.0)[
        "a"
    ]
    assert len(machine.calls) == 2 + 2 * 8
    assert times.seconds == (0.125, 0.125)
    assert times.processor == (0.25, 0.25)


def test_a_variant_elsewhere_times_itself():
    asked = []

    def elsewhere(calls):
        asked.append(calls)
        return 0.25 * calls, 0.5 * calls

    times = interleaved({"a": Turns(elsewhere)}, rounds=2, turn_seconds=1.0)["a"]
    assert asked == [1, 1, 4, 4]
    assert times.seconds == (0.25, 0.25)
    assert times.processor == (0.5, 0.5)


def test_the_ratio_survives_a_load_that_changes():
    machine = Machine()
    slow = machine.variant("slow", 4.0)

    def slower_every_round():
        slow()
        machine.slowness *= 3

    times = machine.measure(
        {"fast": machine.variant("fast", 1.0), "slow": slower_every_round}, rounds=5, warm_up=False
    )
    assert times["fast"].speed_against(times["slow"]) == pytest.approx((4.0, 4.0, 4.0))
    assert times["fast"].median == pytest.approx(9.0)


def test_ratios_are_medians_and_quartiles_of_the_rounds():
    ours = Measurement((1.0, 1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0, 1.0))
    theirs = Measurement((5.0, 1.0, 3.0, 2.0, 4.0), (2.0, 2.0, 2.0, 9.0, 2.0))
    assert ours.speed_against(theirs) == (3.0, 2.0, 4.0)
    assert ours.economy_against(theirs) == 2.0


def test_one_round_is_refused():
    with pytest.raises(ValueError, match="rounds=1"):
        interleaved({"a": lambda: None}, rounds=1)


def test_a_row_names_both_sides_and_the_table_keeps_them_apart():
    ours, theirs = Measurement((0.002, 0.002), (0.002, 0.002)), Measurement((0.02, 0.02), (0.008, 0.008))
    row = compare("loss", ours, "all pairs", theirs, milliseconds)
    other = compare("loss", ours, "all pairs", theirs, milliseconds, in_this_process=False)
    assert (row.ours, row.theirs, row.processor_ratio) == ("2 ms", "20 ms", "4.00")
    assert row.ratio == "10.00 (10.00-10.00)"
    assert other.processor_ratio == ""
    lines = table([row, other]).splitlines()
    assert len(lines) == 4
    assert len(set(map(len, lines))) == 1
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]][:4] == ["loss", "2 ms", "all pairs", "20 ms"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.00089, "0.89 ms"), (0.0332, "33.2 ms"), (2.051, "2051 ms"), (1.0, "1000 ms")]
)
def test_milliseconds(seconds, text):
    assert milliseconds(seconds) == text


def test_rates_count_items_not_calls():
    assert per_second(64, "img")(0.5) == "128 img/s"
    assert per_second(1, "people")(0.04) == "25.0 people/s"
