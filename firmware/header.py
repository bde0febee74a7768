"""``spikeloom.h``: what the C driver (``firmware/driver``) knows about the device of a build.

It is made from the entries of the build's manifest, of which the device confirms a digest. So a
program that was compiled with the header of another build is noticed when it opens a session.
"""

import struct
from math import prod

__all__ = ["NAME", "header"]

NAME = "spikeloom.h"
"""Name of the file in a build's directory."""

_ADDRESSES = ("magic", "digest", "submitted", "completed", "session", "timesteps", "open", "input",
              "result", "stride", "selftest", "health", "holds", "block", "load", "check")

_HEADER = """\
/* The device of {network}, built for {board}. Made by `python -m gen build`; do not edit. */
#ifndef SPIKELOOM_H
#define SPIKELOOM_H

#include "spikeloom_driver.h"

#if SPIKELOOM_PROTOCOL != {protocol}u
#error "spikeloom.h and spikeloom_driver.h are of different versions: build the network again"
#endif

{macros}

{memories}static const struct spikeloom_build spikeloom_build = {{
    .digest = {{
{digest}
    }},
    .baud = {baud}u,
    .at = {{
{addresses}
    }},
    .input_words = SPIKELOOM_INPUT_WORDS,
    .logits = SPIKELOOM_LOGITS,
    .logit_words = {logit_words}u,
    .quiet_words = {quiet_words}u,
    .timesteps = SPIKELOOM_TIMESTEPS,
    .input = {{
        .channels = SPIKELOOM_CHANNELS,
        .height = SPIKELOOM_HEIGHT,
        .width = SPIKELOOM_WIDTH,
        .levels = {levels}u,
        .pixel_max = SPIKELOOM_PIXEL_MAX,
        .word = {word}u,
        .bits = {bits}u,
        .continues = {continues},
    }},
    .positions = SPIKELOOM_POSITIONS,
{loading}}};

#endif
"""

_MEMORIES = """\
static const struct spikeloom_memory spikeloom_memories[] = {{
{rows}
}};

"""

_LOADING = """\
    .network = {{
{network}
    }},
    .memories = spikeloom_memories,
    .memory_count = {count}u,
"""


def header(facts: dict) -> str:
    """The text of ``spikeloom.h``.

    Parameters
    ----------
    facts : entries of the manifest: ``network``, ``network_digest``, ``board``, ``digest``,
        ``link``, ``input``, ``output`` and ``registers``; and ``memories`` if they may be loaded
    """
    layout, registers = facts["input"], facts["registers"]
    channels, height, width = layout.get("map", layout["shape"])
    positions = prod(facts["output"].get("positions", (1, 1)))
    memories = facts.get("memories", [])
    macros = {
        "INPUT_WORDS": (registers["input_words"], "of a sample"),
        "RESULT_WORDS": (2 + registers["classes"] * registers["logit_words"]
                         + registers["quiet_words"], "of a result"),
        "CHANNELS": (channels, "of the input map"),
        "HEIGHT": (height, "of the input map; of a block, its elements"),
        "WIDTH": (width, "of the input map"),
        "PIXELS": (channels * height * width, "of a sample, by channel, row and column"),
        "PIXEL_MAX": (layout["pixel_max"], "the greatest pixel"),
        "LOGITS": (registers["classes"], "of a result"),
        "POSITIONS": (positions, "of the read-out"),
        "CLASSES": (registers["classes"] // positions, "of a position"),
        "QUIET_LAYERS": (len(facts["output"]["settling"]), "layers that come to rest"),
        "TIMESTEPS": (registers["most_timesteps"], "of the longest run"),
    }
    return _HEADER.format(
        network=facts["network"], board=facts["board"], protocol=registers["protocol"],
        macros="\n".join(f"#define SPIKELOOM_{name} {value}u /* {what} */"
                         for name, (value, what) in macros.items()),
        digest=_digest(facts["digest"]),
        baud=facts["link"]["baud"] or 0,
        addresses="\n".join(f"        .{name} = 0x{registers[name]:04x}u,"
                            for name in _ADDRESSES if name in registers),
        memories=_MEMORIES.format(rows="\n".join(
            f'    {{"{name}", {width}u, {depth}u}},' for name, width, depth in memories))
        if memories else "",
        loading=_LOADING.format(network=_digest(facts["network_digest"]), count=len(memories))
        if memories else "",
        logit_words=registers["logit_words"], quiet_words=registers["quiet_words"],
        continues="true" if layout.get("continues") else "false",
        **{name: layout[name] for name in ("levels", "word", "bits")})


def _digest(digits):
    """The words of a digest, each a line."""
    return "\n".join(f"        0x{word:08x}u,"
                     for word in struct.unpack("<8I", bytes.fromhex(digits)))
