"""The list of devices: what answers, what does not, and why."""

import json
import mmap
import os
import struct

import pytest

from host import devices
from host.cli import main
from host.manifest import load
from host.virtual import virtual_board

IDENTITY = bytes(range(32))


def function(folder, name, *, ids=devices.IDS, words=(), enabled=True, driver=None):
    """A function as the system shows it."""
    path = folder / name
    path.mkdir(parents=True)
    for entry, number in zip(("vendor", "device"), ids, strict=True):
        (path / entry).write_text(f"{number:#06x}\n")
    (path / "enable").write_text(f"{int(enabled)}\n")
    data = struct.pack(f"<{len(words)}I", *words)
    (path / "resource0").write_bytes(data.ljust(mmap.PAGESIZE, b"\0"))
    if driver:
        (folder.parent / driver).mkdir(exist_ok=True)
        (path / "driver").symlink_to(folder.parent / driver)
    return path


def words(*, version=3):
    facts = 125_000_000, 0, 0, 0, 0, 0, 1, 9, 5
    return [int.from_bytes(b"SPKL", "little"), version, *struct.unpack("<8I", IDENTITY), *facts]


def listed(folder):
    return {entry["port"]: entry for entry in devices._pcie(folder)}


def test_functions(tmp_path):
    folder = tmp_path / "devices"
    function(folder, "0000:01:00.0", words=words())
    function(folder, "0000:02:00.0", words=words(version=4))
    function(folder, "0000:03:00.0", words=[0xffffffff] * 19)
    function(folder, "0000:04:00.0", enabled=False)
    function(folder, "0000:05:00.0", driver="vfio-pci")
    function(folder, "0000:06:00.0", ids=(0x8086, 1))
    (folder / "0000:07:00.0").mkdir()
    found = listed(folder)
    assert {port: entry["says"] for port, entry in found.items()} == {
        "pcie:0000:01:00.0": "build 000102030405..., 125 MHz, 9 input words, 5 logits",
        "pcie:0000:02:00.0": "version 4 of the protocol, of which this driver knows 3",
        "pcie:0000:03:00.0": "its registers are not ours; is it configured?",
        "pcie:0000:04:00.0": "not enabled; `python -m host status` enables and asks it",
        "pcie:0000:05:00.0": "vfio-pci is bound to it; `python -m host status` asks it"}
    assert found["pcie:0000:01:00.0"]["facts"] == {
        "version": 3, "digest": IDENTITY.hex(), "clock_hz": 125_000_000, "busy": True,
        "input_words": 9, "classes": 5}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_function_without_permission(tmp_path):
    path = function(tmp_path / "devices", "0000:01:00.0")
    (path / "resource0").chmod(0)
    (entry,) = listed(tmp_path / "devices").values()
    assert entry["says"] == "Permission denied; run as root"


def test_a_system_without_functions(tmp_path):
    assert not listed(tmp_path / "devices")


def test_serial_ports(builds, monkeypatch, capfd):
    """A virtual board answers, a terminal does not, and a path that is gone says so."""
    class Port:
        def __init__(self, device):
            self.device = device

    silent, other = os.openpty()
    folder = builds("linear")
    with virtual_board(folder) as path:
        names = [path, os.ttyname(other), "/dev/gone"]
        monkeypatch.setattr("serial.tools.list_ports.comports", lambda: map(Port, names))
        monkeypatch.setattr(devices, "_PATIENCE", 1.0)
        monkeypatch.setattr(devices, "_pcie", lambda: ())
        assert main(["devices", "--json"]) == 0
        found = {entry["port"]: entry for entry in json.loads(capfd.readouterr().out)["devices"]}
        assert main(["devices"]) == 0
    said = capfd.readouterr().out.splitlines()
    os.close(silent)
    os.close(other)
    assert found[path]["facts"]["digest"] == load(folder).digest
    assert found[names[1]]["says"].startswith("no answer; is the board powered and configured")
    assert found["/dev/gone"]["says"] == "there is no such port; is the board connected?"
    assert len(said) == 3


def test_nothing_is_there(monkeypatch, capfd):
    monkeypatch.setattr(devices, "devices", lambda baud: [])
    assert main(["devices"]) == 0
    assert capfd.readouterr().out == "there is no serial port, and no device on PCI Express\n"
