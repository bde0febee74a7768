"""Issue templates are forms as they should be; hooks run what is in the environment."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")
               if path.name != "config.yml")
HOOKS = [hook for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
         ["repos"] for hook in repository["hooks"]]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_form(form):
    form = yaml.safe_load(form.read_text())
    assert set(form) == {"name", "description", "labels", "body"}
    fields = form["body"]
    assert len({field["id"] for field in fields}) == len(fields)
    for field in fields:
        assert field["type"] in {"textarea", "input", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]
        options = field["attributes"].get("options", [])
        assert bool(options) == (field["type"] in {"dropdown", "checkboxes"})
        assert all(isinstance(option, dict if field["type"] == "checkboxes" else str)
                   for option in options)


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_hook_runs_the_environment(hook):
    program, *arguments = shlex.split(hook["entry"])
    assert (hook["language"], program, arguments[0]) == ("system", ".venv/bin/python", "-m")
    assert all((ROOT / name).exists() for name in arguments if name.startswith("tests/"))


def test_hooks_are_local():
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"repo: (\S+)", text) == ["local"]
    assert "://" not in text
