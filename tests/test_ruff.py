"""Style is part of the tests."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_ruff():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "--quiet", "--no-cache", "."],
                          cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
