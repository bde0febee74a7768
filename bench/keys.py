"""Keys: when a result is out of date.

A key is a hash of the case, of the source files that its result depends on, of its network, and
of the versions of the tools. What runs tools and writes files (``gen/system``), and the words of
errors (``gen/*.py``), change no figure and are left out.
"""

import hashlib
import importlib.metadata
import json

from gen.build.toolchain import identity
from gen.ir import shipped

from .benchmark import ROOT

__all__ = ["BUILD", "PLAN", "SIMULATE", "VERIFY", "files", "key"]

# Shipped networks have digests of their own.
PLAN = ("hw/**/*", "boards/**/*", "gen/data/**/*", "gen/ir/**/*.py", "gen/plan/**/*")
BUILD = (*PLAN, "firmware/**/*", "gen/build/**/*")
SIMULATE = (*BUILD, "gen/verify/**/*")
VERIFY = (*SIMULATE, "host/**/*")
"""Patterns of files, of what is done with a network."""


def files(benchmark):
    """The files that a benchmark's results depend on, its own module among them."""
    own = benchmark.measure.__module__.replace(".", "/") + ".py"
    patterns = (*benchmark.sources, own, "bench/common.py")
    return sorted({path for pattern in patterns for path in ROOT.glob(pattern)
                   if path.is_file() and "__pycache__" not in path.parts})


def key(benchmark, case) -> str:
    """The key of a case as things are now, 64 hexadecimal digits."""
    sha = hashlib.sha256()
    for path in files(benchmark):
        sha.update(f"{path.relative_to(ROOT)} {path.stat().st_size}\n".encode())
        sha.update(path.read_bytes())
    network = shipped.find(case["network"]).digest if "network" in case else None
    tools = {tool: identity(tool) for tool in benchmark.tools(case)}
    sha.update(json.dumps([case, network, tools, importlib.metadata.version("amaranth")]).encode())
    return sha.hexdigest()
