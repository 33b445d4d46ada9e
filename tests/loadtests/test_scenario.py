import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from loadtests.arrivals import steady
from loadtests.open_loop import Plan, Run
from loadtests.picture import draw
from loadtests.play import Played, targets_of
from loadtests.report import document_of, unexpected
from loadtests.scenario import InvalidScenario, load_scenario, names, parse_scenario
from loadtests.self_check import Fitness
from loadtests.tally import Tally
from loadtests.target import Question, Target

GOOD = 'description = "x"\nload = [{at_s = 0, rate = 1}, {at_s = 1, rate = 1}]\n'
ASK = '[[ask]]\nmodel = "tiny"\n'


@pytest.mark.parametrize("name", names())
def test_every_scenario_can_be_played(name: str) -> None:
    """Each file that comes along parses, says what it is, ends within an hour and asks models that exist."""
    scenario = load_scenario(name)
    assert scenario.description
    assert scenario.arrivals(peak=100).duration_s <= 3600
    assert len(targets_of(scenario.ask)) == len(scenario.ask)


def test_the_promised_scenarios_are_there() -> None:
    """All kinds of load that are worth a name have one."""
    assert set(names()) == {
        *("steady", "ramp", "spike", "soak", "swap", "overload", "slow-clients", "mixed-models", "binary"),
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("load =", "Invalid value"),
        (GOOD + ASK + "speed = 3\n", "speed"),
        (GOOD, "missing required field `ask`"),
        (GOOD + "ask = []\n", "nothing is asked"),
        (GOOD.replace("rate = 1}]", "rate = 1, peak = 1}]") + ASK, "either a rate or a share"),
        (GOOD.replace("at_s = 0", "at_s = 2") + ASK, "first point at 0"),
        (GOOD + ASK + '[swap]\nmodel = "wide"\n', "nobody asks"),
        (GOOD + '[[ask]]\nmodel = "tiny"\nweight = 0\n', "weight"),
    ],
)
def test_impossible_scenarios_are_refused(text: str, problem: str) -> None:
    """What a file says wrong is named together with the file."""
    with pytest.raises(InvalidScenario, match=f"^mine.toml: .*{problem}"):
        parse_scenario(text, "mine.toml")


def test_an_unknown_name_lists_the_known_ones() -> None:
    """Who mistypes a scenario is told what there is."""
    with pytest.raises(InvalidScenario, match="steady"):
        load_scenario("stedy")


def some_run(answers: int = 1000) -> Run:
    tally = Tally()
    for number in range(answers):
        tally.answer(0, number * 5000, 200 + number % 97)
    tally.fail("status 503", 1_500_000)
    plan = Plan((Target("a < b & c", (Question(b""),)),), steady(200, 5))
    return Run(plan, tally, answers + 1, 5.0, 0, Fitness(0.1, 0.2, 0.3))


@pytest.mark.parametrize("answers", [0, 1, 1000])
def test_the_picture_is_well_formed(answers: int) -> None:
    """Any run, even an empty one, gives an SVG document with both diagrams."""
    root = ElementTree.fromstring(draw("a < b & c", some_run(answers)))  # noqa: S314 - written by ourselves
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any(text.startswith("a < b & c: latency by percentile") for text in texts)
    assert any(text.startswith("latency over time") for text in texts)
    assert "nan" not in draw("x", some_run(answers)).lower()


def test_a_run_is_a_json_document() -> None:
    """Everything that was measured survives JSON: sums, each target, errors and each second."""
    document = json.loads(json.dumps(document_of("x", Played(some_run()))))
    assert (document["answered"], document["failed"], document["errors"]) == (1000, 1, {"status 503": 1})
    assert document["targets"]["a < b & c"]["count"] == 1000
    assert [second["answered"] for second in document["seconds"]] == [200] * 5
    assert document["seconds"][1]["failed"] == 1


def test_only_errors_that_do_not_belong_to_a_scenario_fail_it() -> None:
    """A scenario names the kinds of error that it provokes; any other one makes the command fail."""
    strict = parse_scenario(GOOD + ASK, "mine.toml")
    lenient = parse_scenario(GOOD + 'allowed = ["status 503"]\n' + ASK, "mine.toml")
    assert unexpected(strict, some_run()) == {"status 503": 1}
    assert unexpected(lenient, some_run()) == {}


def test_percentiles_are_those_of_the_values() -> None:
    """The histogram keeps three digits of every percentile."""
    tally = Tally()
    for number in range(1, 10_001):
        tally.answer(0, 0, number)
    latency = tally.latency()
    found = (latency.p50, latency.p90, latency.p99, latency.p999, latency.longest)
    assert found == pytest.approx((5.0, 9.0, 9.9, 9.99, 10.0), rel=2e-3)


def test_load_tests_know_nothing_of_what_they_measure() -> None:
    """The command of the load tests imports nothing of driftgate: it speaks HTTP like anybody."""
    look = "import loadtests.cli, sys; print([name for name in sys.modules if 'driftgate' in name])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
