"""The pages say what ``bench/figures.json`` says; neither can be edited alone."""

import json
import re

import pytest

from bench import pages, tables
from bench.__main__ import BENCHMARKS, main
from bench.benchmark import ROOT, label, load
from gen.plan.resources import COEFFICIENTS

PLACE = re.compile(r"<!-- figures: (\S+) -->\n(.*?)<!-- end -->\n", re.DOTALL)

PLACES = [(page, *place) for page in pages.documents()
          for place in PLACE.findall(page.read_text(encoding="utf-8"))]


def test_pages_are_up_to_date():
    """If not: ``python -m bench --pages``."""
    assert list(pages.outdated(load())) == []


def test_every_table_is_on_one_page():
    assert sorted(name for _, name, _ in PLACES) == sorted(pages.TABLES)
    marks = [len(re.findall("<!-- figures", page.read_text(encoding="utf-8")))
             for page in pages.documents()]
    assert sum(marks) == len(PLACES)


@pytest.mark.parametrize("name, text", [place[1:] for place in PLACES],
                         ids=[name for _, name, _ in PLACES])
def test_a_page_can_not_be_edited_alone(name, text):
    page = f"before\n<!-- figures: {name} -->\n{text}<!-- end -->\nafter\n"
    assert pages.filled(page, load()) == page
    for number in list(re.finditer(r"\d", text))[::7]:
        edited = f"{text[:number.start()]}{(int(number[0]) + 1) % 10}{text[number.end():]}"
        assert pages.filled(page.replace(text, edited), load()) == page
    assert pages.filled(page.replace(text, ""), load()) == page


def altered(value, factor=2):
    """The same with every number another, and other ratios."""
    match value:
        case bool() | str() | None:
            return value
        case dict():
            return {key: altered(item, factor + k) for k, (key, item) in enumerate(value.items())}
        case list():
            return [altered(item, factor + k) for k, item in enumerate(value)]
    return value * factor + 1


# Of networks that are far too large there are no figures.
QUOTED = [(benchmark, case) for benchmark in BENCHMARKS
          for case, row in zip(benchmark.cases, benchmark.rows(load()), strict=True)
          if row.get("cells", 0) is not None]


@pytest.mark.parametrize("benchmark, case", QUOTED, ids=[
    f"{benchmark.name} {label(case)}" for benchmark, case in QUOTED])
def test_the_file_can_not_be_edited_alone(benchmark, case):
    figures = load()
    entry = figures[benchmark.name][label(case)]
    entry["result"] = altered(entry["result"])
    assert pages.outdated(figures)


def test_coefficients_are_those_measured():
    figures = load()
    model = figures["calibrate"]["ECP5"]["result"]["model"]
    model["total"]["luts"] = 0.5
    (path,) = pages.outdated(figures)
    assert path == COEFFICIENTS
    assert json.loads(pages.outdated(figures)[path])["ECP5"]["total"]["luts"] == 0.5


def test_unknown_tables():
    with pytest.raises(KeyError):
        pages.filled("<!-- figures: none -->\n<!-- end -->\n", {})


def test_every_case_has_a_result_and_no_other():
    figures = load()
    assert figures.keys() == {benchmark.name for benchmark in BENCHMARKS}
    for benchmark in BENCHMARKS:
        names = [label(case) for case in benchmark.cases]
        assert len(set(names)) == len(names)
        assert list(figures[benchmark.name]) == names, benchmark.name
        for entry in figures[benchmark.name].values():
            assert entry.keys() == {"key", "result"}


def test_what_is_written(monkeypatch, tmp_path):
    for name in ("README.md", "docs/fit.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        text = (ROOT / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(PLACE.sub("<!-- figures: \\1 -->\n<!-- end -->\n", text),
                                     encoding="utf-8")
    coefficients = tmp_path / "coefficients.json"
    coefficients.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    monkeypatch.setattr(pages, "COEFFICIENTS", coefficients)
    assert main(["--pages"]) == 0
    for name in ("README.md", "docs/fit.md"):
        assert (tmp_path / name).read_text() == (ROOT / name).read_text()
    assert coefficients.read_text() == COEFFICIENTS.read_text()


def test_unknown_benchmark(capsys):
    with pytest.raises(SystemExit):
        main(["figures", "no-such"])
    assert "there is no benchmark 'no-such'; there are calibrate, " in capsys.readouterr().err


@pytest.mark.parametrize("jobs", ["0", "-1", "two"])
def test_jobs(capsys, jobs):
    with pytest.raises(SystemExit):
        main(["--jobs", jobs])
    assert f"must be a number from 1, not '{jobs}'" in capsys.readouterr().err


def test_the_growth_is_that_of_the_steepest_step():
    assert tables._growth([(100_000, 1.0), (300_000, 2.0), (400_000, 2.25)]) == pytest.approx(0.5)
