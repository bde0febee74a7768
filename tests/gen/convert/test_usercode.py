"""The user's Python file: executed as an import would, quiet, and forgotten."""

import os
import sys

import pytest
from torch import nn

from gen.convert.usercode import loaded
from gen.errors import ConversionError

DATACLASS = '''
from __future__ import annotations
from dataclasses import dataclass, field
from torch import nn

@dataclass
class Options:
    widths: list[int] = field(default_factory=list)
    bias: bool = True

def build():
    return nn.Linear(2, 2, bias=Options([1]).bias)
'''

@pytest.fixture
def write(tmp_path):
    def write(text, name="model.py", folder="."):
        file = tmp_path / folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return f"{file}:build"
    return write


def test_a_dataclass_with_annotations_that_are_strings(write):
    with loaded(write(DATACLASS)) as module:
        assert isinstance(module, nn.Linear)


def test_it_can_be_imported_while_it_is_used(write):
    target = write("from torch import nn\nclass Own(nn.Linear): pass\n"
                   "def build():\n    import model\n    assert model.build is build\n"
                   "    return Own(2, 2)")
    with loaded(target) as module:
        assert sys.modules["model"].Own is type(module)
    assert "model" not in sys.modules


def test_neighbours_of_another_folder_are_others(write):
    for folder, width in ("a", 2), ("b", 3):
        write(f"width = {width}", "helper.py", folder)
        target = write("from torch import nn\nfrom helper import width\n"
                       "def build(): return nn.Linear(width, 1)", "model.py", folder)
        path = list(sys.path)
        with loaded(target) as module:
            assert module.in_features == width
        assert "helper" not in sys.modules
        assert sys.path == path


def test_only_neighbours_are_forgotten(write, tmp_path):
    write("", "__init__.py", "package")
    write("width = 2", "part.py", "package")
    write("", "installed.py", "site-packages")
    target = write("import sys\nsys.path.append(sys.path[0] + '/site-packages')\n"
                   "import installed\nfrom package.part import width\nfrom torch import nn\n"
                   "def build(): return nn.Linear(width, 1)")
    with loaded(target):
        assert {"installed", "package", "package.part"} <= set(sys.modules)
    assert "installed" in sys.modules
    assert not {"package", "package.part"} & set(sys.modules)
    del sys.modules["installed"]
    assert f"{tmp_path}/site-packages" not in sys.path


def test_a_file_called_like_a_module_in_use(write):
    target = write("import numpy, torch\nassert numpy.zeros(1) == 0\n"
                   "class Own(torch.nn.Linear): pass\ndef build(): return Own(2, 2)", "numpy.py")
    before = sys.modules["numpy"]
    with loaded(target) as module:
        assert type(module).__module__ == "converted.numpy"
    assert sys.modules["numpy"] is before


@pytest.mark.parametrize("text, message", [
    ("import sys\nsys.exit()", r"calls sys\.exit\(None\)$"),
    ("def build():\n    raise SystemExit('two\\nlines')", r"calls sys\.exit\('two\\nlines'\)$"),
    ("def build(:", "SyntaxError: "),
    ("def build(): raise ValueError", "ValueError: ValueError$"),
    ("def build(): raise ValueError('two\\nlines')", "ValueError: two$"),
    ("build = 3", "TypeError: 'int' object is not callable$"),
    ("def build(): return 3", r"must return a torch\.nn\.Module, not int$"),
])
def test_failures(write, text, message):
    target = write(text)
    modules, path = dict(sys.modules), list(sys.path)
    with pytest.raises(ConversionError, match=f"model.py:build: {message}"), loaded(target):
        pass
    assert sys.path == path
    assert set(sys.modules) == set(modules)


def test_ctrl_c_ends_it(write):
    with pytest.raises(KeyboardInterrupt), loaded(write("raise KeyboardInterrupt")):
        pass


def test_the_working_directory_stays(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with loaded(write("import os, torch\nos.chdir('/')\ndef build():\n    os.chdir('/tmp')\n"
                      "    return torch.nn.Linear(2, 2)")):
        assert os.getcwd() == str(tmp_path)
