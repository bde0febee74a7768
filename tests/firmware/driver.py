"""The C driver in this process, over lines and buses in Python."""

import ctypes
from ctypes import CFUNCTYPE, POINTER, Structure, c_bool, c_int, c_uint8, c_uint16, c_uint32
from ctypes import c_void_p as pointer
from enum import IntEnum
from itertools import count

import numpy as np

from host.manifest import load

from .compiling import HERE, SOURCES, compile_c, enumerators

__all__ = ["Driver", "Error", "library"]

Error = IntEnum("Error", enumerators("SPIKELOOM_", "spikeloom_error"))


class Line(Structure):
    _fields_ = [("put", CFUNCTYPE(c_bool, pointer, c_uint8)), ("get", CFUNCTYPE(c_int, pointer)),
                ("milliseconds", CFUNCTYPE(c_uint32, pointer)), ("user", pointer)]


class Bus(Structure):
    _fields_ = [("read", CFUNCTYPE(c_uint32, pointer, c_uint16)),
                ("write", CFUNCTYPE(None, pointer, c_uint16, c_uint32)),
                ("milliseconds", CFUNCTYPE(c_uint32, pointer)), ("user", pointer)]


SIGNATURES = {
    "spikeloom_text": (ctypes.c_char_p, c_int), "spikeloom_open": (c_int, pointer, c_uint32),
    "spikeloom_load": (c_int, pointer, c_uint32, ctypes.c_char_p, ctypes.c_size_t, c_uint32),
    "spikeloom_choose": (c_int, pointer, c_uint16), "spikeloom_due": (c_uint16, pointer),
    "spikeloom_submit": (c_int, pointer, POINTER(c_uint32)),
    "spikeloom_poll": (c_int, pointer, POINTER(c_uint32)),
    "spikeloom_wait": (c_int, pointer, POINTER(c_uint32), c_uint32),
    "spikeloom_result_words": (c_uint16, pointer),
    "spikeloom_clocks": (c_uint32, POINTER(c_uint32)),
    "spikeloom_logit": (ctypes.c_int64, pointer, POINTER(c_uint32), c_uint16),
    "spikeloom_class": (c_uint16, pointer, POINTER(c_uint32), c_uint16),
    "spikeloom_quiet": (c_bool, pointer, POINTER(c_uint32), c_uint8),
    "spikeloom_put": (c_int, pointer, POINTER(c_uint32), c_uint32, c_uint32),
    "spikeloom_clear": (None, pointer, POINTER(c_uint32), c_bool),
    "spikeloom_pack": (c_int, pointer, POINTER(c_uint32), ctypes.c_char_p, c_bool),
    "spikeloom_memory_read": (c_uint32, pointer, c_uint16),
    "spikeloom_memory_write": (None, pointer, c_uint16, c_uint32),
    "shim_build": (pointer,), "shim_retries": (c_uint32,), "shim_mapped": (None, POINTER(Bus)),
    "shim_layout": (pointer, POINTER(c_uint32), c_uint32, ctypes.c_uint64, c_uint16, c_uint8,
                    c_bool, c_uint16),
    "shim_serial": (None, POINTER(Line), c_uint32, c_uint8),
}


def library(build, folder):
    """The driver of a build as a shared library, which stops at undefined behaviour."""
    file = folder / "driver.so"
    compile_c("gcc", "-O1", "-g", "-fsanitize=undefined", "-fno-sanitize-recover=all", "-fPIC",
              "-shared", f"-I{build}", *SOURCES, HERE / "shim.c", "-o", file)
    found = ctypes.CDLL(str(file))
    for name, (result, *arguments) in SIGNATURES.items():
        getattr(found, name).restype, getattr(found, name).argtypes = result, arguments
    return found


def ticking():
    """A clock of which a millisecond passes with every hundredth look."""
    looks = count()
    return lambda _: next(looks) // 100


class Driver:
    """A device at the end of a link, of which :meth:`serial` or :meth:`mapped` decides."""

    def __init__(self, build, folder):
        self.c, self.manifest = library(build, folder), load(build)
        self.device = ctypes.addressof(ctypes.c_byte.in_dll(self.c, "shim_device"))
        self.build = self.c.shim_build()
        self.words = self.c.spikeloom_result_words(self.build)
        self.sessions = count(1)
        self._result = (c_uint32 * self.words)()

    def serial(self, transport, *, patience=2, attempts=10, clock=None):
        """Over bytes, which ``transport`` takes and gives."""
        arrived = bytearray()

        def put(_, byte):
            transport.write(bytes([byte]))
            return True

        def get(_):
            if not arrived:
                arrived.extend(transport.read(0))
            return arrived.pop(0) if arrived else -1

        self.line(put, get, patience=patience, attempts=attempts, clock=clock)

    def line(self, put, get, *, patience=2, attempts=10, clock=None):
        """Over two functions for a byte each."""
        types = dict(Line._fields_)
        self._link = Line(types["put"](put), types["get"](get),
                          types["milliseconds"](clock or ticking()), None)
        self.c.shim_serial(self._link, patience, attempts)

    def mapped(self, target):
        """Over registers."""
        types = dict(Bus._fields_)
        self._link = Bus(types["read"](lambda _, addr: target.read(addr)),
                         types["write"](lambda _, addr, word: target.write(addr, word) and None),
                         types["milliseconds"](ticking()), None)
        self.c.shim_mapped(self._link)

    def load(self, image, limit=1000):
        """Load a memory image."""
        return Error(self.c.spikeloom_load(self.device, next(self.sessions), image, len(image),
                                           limit))

    def pack(self, pixels, begins=True):
        """Raw pixels of a sample to words."""
        words = (c_uint32 * self.manifest.registers["input_words"])()
        pixels = np.asarray(pixels).reshape(-1).tolist()
        if max(pixels) < 256:
            error = self.c.spikeloom_pack(self.build, words, bytes(pixels), begins)
        else:
            self.c.spikeloom_clear(self.build, words, begins)
            error = any(self.c.spikeloom_put(self.build, words, index, pixel)
                        for index, pixel in enumerate(pixels))
        assert error == Error.OK
        return words

    def open(self):
        return Error(self.c.spikeloom_open(self.device, next(self.sessions)))

    def choose(self, timesteps):
        return Error(self.c.spikeloom_choose(self.device, timesteps))

    def submit(self, words):
        return Error(self.c.spikeloom_submit(self.device, words))

    def poll(self):
        return Error(self.c.spikeloom_poll(self.device, self._result))

    def wait(self, milliseconds=10_000):
        return Error(self.c.spikeloom_wait(self.device, self._result, milliseconds))

    @property
    def due(self):
        return self.c.spikeloom_due(self.device)

    @property
    def logits(self):
        """Of the result that was read last."""
        return [self.c.spikeloom_logit(self.build, self._result, k)
                for k in range(self.manifest.registers["classes"])]

    @property
    def clocks(self):
        return self.c.spikeloom_clocks(self._result)

    def predicted(self, position=0):
        return self.c.spikeloom_class(self.build, self._result, position)

    def quiet(self, layer):
        return self.c.spikeloom_quiet(self.build, self._result, layer)

    def infer(self, raw, *, ahead=2, blocks=1):
        """Logits of raw samples, or the first error. So many are sent before a result is read; a
        sequence begins every so many ``blocks``."""
        found = []
        for k, pixels in enumerate(raw):
            if self.due == ahead:
                if error := self.wait():
                    return error
                found.append(self.logits)
            if error := self.submit(self.pack(pixels, k % blocks == 0)):
                return error
        while self.due:
            if error := self.wait():
                return error
            found.append(self.logits)
        return np.array(found)
