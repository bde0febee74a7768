"""Keys: when a result is out of date.

A key is a hash of the case, of the source files that its result depends on, of its network, and
of the versions of the tools. What runs tools and writes files (``gen/system``), and the words of
errors (``gen/*.py``), change no figure and are left out. So are comments, docstrings and the
annotations of functions.
"""

import ast
import hashlib
import importlib.metadata
import json

from gen.build.toolchain import identity
from gen.ir import shipped

from .benchmark import ROOT

__all__ = ["BUILD", "PLAN", "SIMULATE", "VERIFY", "files", "key"]

# Shipped networks have digests of their own.
PLAN = ("hw/**/*", "boards/**/*", "gen/data/**/*", "gen/ir/**/*.py", "gen/plan/**/*",
        "host/meaning.py", "host/errors.py")
BUILD = (*PLAN, "firmware/*.py", "gen/build/**/*")
SIMULATE = (*BUILD, "gen/verify/**/*")
VERIFY = (*SIMULATE, "host/**/*")
"""Patterns of files, of what is done with a network."""


def files(benchmark):
    """The files that a benchmark's results depend on, its own module among them."""
    own = benchmark.measure.__module__.replace(".", "/") + ".py"
    patterns = (*benchmark.sources, own, "bench/common.py")
    return sorted({path for pattern in patterns for path in ROOT.glob(pattern)
                   if path.is_file() and "__pycache__" not in path.parts})


class _Bare(ast.NodeTransformer):
    """Takes away what Python does not act on."""

    def _documented(self, node):
        self.generic_visit(node)
        if ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        return node

    visit_Module = visit_ClassDef = _documented

    def visit_FunctionDef(self, node):
        node.returns = None
        return self._documented(node)

    def visit_arg(self, node):
        node.annotation = None
        return node


def _content(path):
    """What a file contributes to a key."""
    content = path.read_bytes()
    if path.suffix != ".py":
        return content
    return ast.dump(_Bare().visit(ast.parse(content))).encode()


def key(benchmark, case) -> str:
    """The key of a case as things are now, 64 hexadecimal digits."""
    sha = hashlib.sha256()
    for path in files(benchmark):
        content = _content(path)
        sha.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode())
        sha.update(content)
    network = shipped.find(case["network"]).digest if "network" in case else None
    tools = {tool: identity(tool) for tool in benchmark.tools(case)}
    sha.update(json.dumps([case, network, tools, importlib.metadata.version("amaranth")]).encode())
    return sha.hexdigest()
