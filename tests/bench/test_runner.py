"""What is measured, what is not, and what is kept."""

import pytest

from bench import __main__ as command
from bench import keys, runner
from bench.benchmark import Benchmark, label, load, store
from tests.bench import subject

NUMBERS = Benchmark("numbers", [{"number": 1}, {"number": 2}, {"number": 3}], subject.doubled, ())


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "figures.json"
    path.write_text('{"others": {"x": {"key": "k", "result": {"a": 1}}}}', encoding="utf-8")
    return path


def run(path, *benchmarks, **options):
    outcome = runner.Outcome()
    for benchmark in benchmarks:
        runner.run(benchmark, outcome, path=path, **options)
    return outcome


def ways(*names, tools=lambda case: ()):
    return Benchmark("ways", [{"way": name} for name in names], subject.difficult, (), tools)


@pytest.mark.parametrize("jobs", [1, 2])
def test_measured_once(path, jobs):
    assert run(path, NUMBERS, jobs=jobs) == runner.Outcome(measured=3)
    written = path.read_text()
    assert run(path, NUMBERS, jobs=jobs) == runner.Outcome(current=3)
    assert path.read_text() == written
    assert load(path)["others"] == {"x": {"key": "k", "result": {"a": 1}}}
    assert NUMBERS.rows(load(path)) == [
        {"number": number, "twice": 2 * number, "nice": 19} for number in (1, 2, 3)]


def test_what_has_another_key_is_measured_again(path):
    run(path, NUMBERS)
    store(NUMBERS, {"number": 2}, "", {"twice": 5}, path)
    assert run(path, NUMBERS) == runner.Outcome(measured=1, current=2)
    assert NUMBERS.rows(load(path))[1]["twice"] == 4


def test_what_is_due_is_listed_and_not_measured(path):
    store(NUMBERS, {"number": 1}, keys.key(NUMBERS, {"number": 1}), {"twice": 2}, path)
    store(NUMBERS, {"number": 2}, "old", {"twice": 5}, path)
    benchmark = ways("bug", tools=lambda case: ("no-such-tool",))
    written, outcome = path.read_text(), runner.Outcome()
    assert [*runner.due(NUMBERS, outcome, path=path), *runner.due(benchmark, outcome, path=path)
            ] == ["numbers: 2: out of date", "numbers: 3: missing"]
    assert outcome == runner.Outcome(current=1, absent=["ways: bug: there is no no-such-tool"])
    assert path.read_text() == written
    assert run(path, NUMBERS) == runner.Outcome(measured=2, current=1)


def test_dry_run(path, monkeypatch, capsys):
    monkeypatch.setattr(command, "BENCHMARKS", [NUMBERS])
    monkeypatch.setattr(runner.due, "__kwdefaults__", {"path": path})
    monkeypatch.setattr(runner, "run", lambda *_, **__: pytest.fail("measured"))
    assert command.main(["--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"numbers: {number}: missing" for number in (1, 2, 3)]
    with pytest.raises(SystemExit):
        command.main(["--dry-run", "--pages"])


def test_results_of_no_case_are_dropped(path):
    run(path, NUMBERS)
    fewer = Benchmark("numbers", [{"number": 4}, {"number": 2}], subject.doubled, ())
    assert run(path, fewer) == runner.Outcome(measured=1, current=1)
    assert list(load(path)["numbers"]) == ["4", "2"]


def test_what_can_not_be_measured_keeps_its_result(path):
    benchmark = ways("data", "package", "tool", "none")
    for case in benchmark.cases:
        store(benchmark, case, "old", {"was": case["way"]}, path)
    assert run(path, benchmark) == runner.Outcome(
        measured=1,
        absent=["ways: data: mnist is not here",
                "ways: package: the Python package spikerplus is missing: pip install spikerplus"],
        failed=["ways: tool: Yosys failed at length"])
    kept = load(path)["ways"]
    assert [kept[way]["result"] for way in ("data", "package", "tool", "none")] == [
        {"was": "data"}, {"was": "package"}, {"was": "tool"}, {"way": "none"}]
    assert kept["tool"]["key"] == "old" != kept["none"]["key"]


def test_absent_tools(path):
    benchmark = ways("none", "bug", tools=lambda case: (
        ("no-such-tool", "sh", "nor-this") if case["way"] == "bug" else ("sh",)))
    assert run(path, benchmark) == runner.Outcome(
        measured=1, absent=["ways: bug: there is no no-such-tool, no nor-this"])


def test_a_bug_loses_one_case(path):
    with pytest.raises(ZeroDivisionError):
        run(path, ways("none", "bug", "data"))
    assert list(load(path)["ways"]) == ["none"]


def test_no_result_of_sources_that_changed_meanwhile(path, tmp_path, monkeypatch):
    monkeypatch.setattr(keys, "ROOT", tmp_path)
    (tmp_path / "source.py").write_text("before", encoding="utf-8")
    benchmark = Benchmark("edits", [{"file": str(tmp_path / "source.py")}], subject.edits,
                          ("*.py",))
    assert run(path, benchmark) == runner.Outcome(
        failed=[f"edits: {tmp_path}/source.py: a source file was changed meanwhile"])
    assert "edits" not in load(path)
    assert run(path, benchmark) == runner.Outcome(measured=1)


def test_labels():
    assert label({"network": "mnist", "board": "arty-a7", "interval": 350}) == "mnist arty-a7 350"
