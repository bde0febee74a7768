"""The site of the pages is built without a warning, and the tutorial runs as it is."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gen.cli import main as gen_main
from host import cli as host_main

for name in ("sphinx", "myst_nb", "furo", "sphinx_argparse_cli", "jupytext", "nbclient"):
    pytest.importorskip(name, reason="pip install spikeloom[docs] for the site")

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def sphinx(source, out):
    """Build a site without running the tutorial."""
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-D",
         "nb_execution_mode=off", "-d", out / "doctrees", source, out / "site"], cwd=ROOT,
        text=True, capture_output=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    done = sphinx(DOCS, out)
    assert (done.returncode, done.stderr) == (0, "")
    return out / "site"


def test_every_page_is_there(site):
    assert {page.stem for page in DOCS.glob("*.md")} <= {page.stem for page in site.glob("*.html")}


@pytest.mark.parametrize("parser", [gen_main._parser(), host_main._parser()],
                         ids=["gen", "host"])
def test_the_reference_has_every_option(site, parser):
    text = re.sub(r"<[^>]+>", "", (site / "command-line.html").read_text(encoding="utf-8"))
    (commands,) = (action.choices for action in parser._actions if action.choices)
    for name, command in commands.items():
        assert f"{parser.prog} {name} " in text
        missing = [option for action in command._actions for option in action.option_strings
                   if option not in text]
        assert not missing, (name, missing)


def test_nothing_is_fetched(site):
    for page in site.glob("*.html"):
        fetched = re.findall(r"<(?:script|link|img)\b[^>]*\b(?:src|href)=\"https?:[^\"]*",
                             page.read_text(encoding="utf-8"))
        assert not fetched, page.name


@pytest.mark.parametrize("page, why", [
    ("# Page\n\n[link](nothing.md)\n", "nothing.md"),
    ("# Page\n\n[link](#nothing)\n", "nothing"),
    ("# Page\n\n```{toctree}\nnothing\n```\n", "nothing")])
def test_a_warning_is_an_error(tmp_path, page, why):
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(DOCS / "conf.py", source)
    (source / "index.md").write_text(page)
    done = sphinx(source, tmp_path)
    assert done.returncode
    assert why in done.stderr


def test_the_tutorial(tmp_path):
    """It runs from a PyTorch model to the answers of the virtual board."""
    import jupytext
    from nbclient import NotebookClient
    notebook = jupytext.read(DOCS / "tutorial.md", fmt="md:myst")
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = "".join(output.get("text", "") for cell in notebook.cells
                   for output in cell.get("outputs", ()))
    right = [float(share) for share in re.findall(r"([\d.]+)% of (?:the test|\d+) images", said)]
    assert len(right) == 3
    assert min(right) > 85
    pictures = [output for cell in notebook.cells for output in cell.get("outputs", ())
                if "image/png" in output.get("data", {})]
    assert len(pictures) == 1
