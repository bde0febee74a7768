"""The driver's ways to a function, in QEMU, under a Debian kernel."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "cpio": "cpio",
             "/bin/busybox": "busybox-static", "/usr/bin/python3": "python3"}

_MODULES = ("irqbypass", "vfio_virqfd", "vfio", "vfio_iommu_type1", "vfio-pci-core", "vfio-pci",
            "uio", "uio_pci_generic")

_INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /sbin /usr/sbin /tmp
/bin/busybox --install -s
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev
for m in {modules}; do [ ! -e /modules/$m.ko ] || insmod /modules/$m.ko; done
PYTHONHOME=/usr PYTHONPATH=/project {python} -m tests.host.guest {test} || echo GUEST FAIL
poweroff -f
"""


def kernel():
    """The newest kernel of the system that has its modules, or None."""
    found = sorted(Path("/boot").glob("vmlinuz-*"))
    return next((path for path in reversed(found) if modules(path)), None)


def modules(image):
    return list(Path("/lib/modules", image.name.removeprefix("vmlinuz-")).rglob("vfio-pci.ko"))


def missing():
    """Debian packages that the test needs and the system lacks."""
    lacking = [package for program, package in _PROGRAMS.items() if shutil.which(program) is None]
    return lacking + ["linux-image-amd64"] * (kernel() is None)


def copied(path, root):
    """Copy a file of the system to the same place under another root."""
    target = root / str(path).lstrip("/")
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def libraries(program):
    """Shared libraries that a program needs."""
    said = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=False).stdout
    words = (word for line in said.splitlines() for word in line.split())
    return [word for word in words if word.startswith("/")]


@pytest.fixture(scope="module")
def guest(tmp_path_factory):
    """A folder with the system that runs in QEMU: kernel, Python, the driver."""
    if lacking := missing():
        pytest.skip(f"apt install {' '.join(lacking)}")
    root = tmp_path_factory.mktemp("guest")
    python = Path("/usr/bin/python3").resolve()
    library = Path("/usr/lib") / python.name
    shutil.copytree(library, root / str(library).lstrip("/"), symlinks=False,
                    ignore_dangling_symlinks=True, ignore=shutil.ignore_patterns(
                        "test", "__pycache__", "ensurepip", "idlelib", "tkinter", "config-*",
                        "lib2to3", "dist-packages"))
    for path in ("/bin/busybox", python, *library.glob("lib-dynload/*.so")):
        if Path(path).suffix != ".so":
            copied(path, root)
        for needed in libraries(path):
            copied(needed, root)
    image = kernel()
    release = Path("/lib/modules", image.name.removeprefix("vmlinuz-"))
    for name in _MODULES:
        for path in release.rglob(f"{name}.ko"):
            (root / "modules").mkdir(exist_ok=True)
            shutil.copy(path, root / "modules" / path.name)
    for name in ("host", "tests/host"):
        (root / "project" / name).mkdir(parents=True)
    for path in (ROOT / "host").glob("*.py"):
        shutil.copy(path, root / "project" / "host" / path.name)
    shutil.copy(ROOT / "tests" / "host" / "guest.py", root / "project" / "tests" / "host")
    return root, image, python


@pytest.mark.slow
@pytest.mark.parametrize("test", ["sysfs", "vfio"])
def test_function(guest, tmp_path, test):
    root, image, python = guest
    init = root / "init"
    init.write_text(_INIT.format(modules=" ".join(_MODULES), python=python, test=test))
    init.chmod(0o755)
    archive = tmp_path / "initrd"
    with archive.open("wb") as file:
        names = "\n".join(str(path.relative_to(root)) for path in root.rglob("*"))
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names.encode(),
                       stdout=file, check=True)
    iommu = "on" if test == "vfio" else "off"
    done = subprocess.run(
        ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "1024", "-machine",
         "q35,kernel-irqchip=split", "-kernel", str(image), "-initrd", str(archive), "-append",
         f"console=ttyS0 quiet intel_iommu={iommu} rdinit=/init",
         *(["-device", "intel-iommu,intremap=on"] if test == "vfio" else []),
         "-device", "edu,dma_mask=0xffffffffffff", "-display", "none", "-serial", "stdio",
         "-monitor", "none", "-no-reboot", "-nic", "none"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
        check=False, text=True, errors="replace")
    print(done.stdout[-4000:], file=sys.stderr)
    assert "GUEST PASS" in done.stdout
