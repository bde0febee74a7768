"""The page of a build, served by a process of its own."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from urllib.parse import urlsplit

__all__ = ["Page", "children", "served"]


class Page:
    """A server, and what it prints."""

    def __init__(self, process, address):
        self.process, self.address = process, address

    def ask(self, path, request=None, seconds=120):
        """Status and answer; a request is posted."""
        connection = HTTPConnection(urlsplit(self.address).netloc, timeout=seconds)
        if request is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(request),
                               {"Content-Type": "application/json"})
        with connection.getresponse() as response:
            answer = response.status, json.loads(response.read())
        connection.close()
        return answer


@contextmanager
def served(folder, *options, port="virtual"):
    """Serve the page at any free port; in the end the server has to end by Ctrl-C, without a
    word."""
    command = [sys.executable, "-m", "host", "serve", "--board", str(folder), "--port", str(port),
               "--listen", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          # In a shell's background job the interrupt would be ignored.
                          preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
                          env=os.environ | {"PYTHONUNBUFFERED": "1"}) as process:
        try:
            yield Page(process, process.stdout.readline().strip())
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 130
            said = process.stderr.read().splitlines()
            assert set(said) <= {"compiling board with Verilator"}
            assert process.stdout.read() == ""
        finally:
            process.kill()


def children(process, name):
    """Processes below one, whose command has a name in it."""
    found, below = [], [process.pid]
    for pid in below:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                below += map(int, file.read().split())
    for pid in below:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
            found += [pid] * (name in file.read())
    return found
