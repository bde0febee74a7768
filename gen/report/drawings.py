"""The page's figures, drawn by matplotlib as SVG that takes its colours from the page.

Figures are drawn in stand-in colours, which become CSS variables: the page has a light and a dark
set of them.
"""

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import ParamSpec
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, MaxNLocator

__all__ = ["alone", "clocks", "logits", "occupancy", "picture", "points", "printable", "raster",
           "steps"]

# No figure has these colours by itself.
_INK, _MUTED, _GRID, _ACCENT, _WARM, _SOFT = (f"#0000f{k}" for k in range(6))
_VARIABLES = {_INK: "--ink", _MUTED: "--muted", _GRID: "--grid", _ACCENT: "--accent",
              _WARM: "--warm", _SOFT: "--soft"}

_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "spikeloom", "text.parse_math": False,
    "font.size": 9.5, "text.color": _INK, "axes.labelcolor": _MUTED, "axes.labelsize": 9.5,
    "xtick.color": _MUTED, "ytick.color": _MUTED, "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _INK, "axes.edgecolor": _GRID, "axes.spines.top": False,
    "axes.spines.right": False, "axes.facecolor": "none", "figure.facecolor": "none",
    "grid.color": _GRID, "grid.linewidth": 0.6, "axes.axisbelow": True, "axes.grid.axis": "x",
    "axes.formatter.use_mathtext": False, "axes.formatter.limits": (-9, 9),
    "legend.frameon": False, "legend.fontsize": 9, "lines.linewidth": 1.2,
    "xtick.major.size": 0, "ytick.major.size": 0, "patch.linewidth": 0,
}

# Inches; a figure is as wide as half a page, or a page on a narrow screen.
_WIDTH = 5.2

_LONGEST = 16

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "{http://www.w3.org/1999/xlink}href"

_P = ParamSpec("_P")


def printable(text: object, longest: int | None = None) -> str:
    """Text without control characters, cut to a length."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    return shown if longest is None or len(shown) <= longest else shown[:longest - 1] + "…"


def _label(name):
    return printable(name, _LONGEST)


def _figure(height, **options):
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots(**options)


def _thousands(axis):
    axis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _drawn(draw: Callable[_P, tuple[Figure, str]]) -> Callable[_P, Markup]:
    """A function that returns a figure and what it shows -> one that returns an SVG element."""
    def drawing(*args, **kwargs):
        with style.context(_STYLE), warnings.catch_warnings():
            # A layer may have a name in any script; the browser has the glyphs.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            figure, title = draw(*args, **kwargs)
            buffer = io.StringIO()
            figure.savefig(buffer, format="svg")
        return _inline(buffer.getvalue(), draw.__name__, title)
    drawing.__doc__ = draw.__doc__
    return drawing


def _inline(text, name, title):
    """The SVG element of a figure that matplotlib has written. No other figure has its ids, and its
    colours are the page's."""
    root = ElementTree.fromstring(text)
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if key == _XLINK:
                del element.attrib[key]
                element.set("href", value)
    used = {value[1:] for element in root.iter() for key, value in element.attrib.items()
            if key == "href" and value.startswith("#")}
    used |= {value[5:-1] for element in root.iter() for key, value in element.attrib.items()
             if key == "clip-path"}
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
        if element.get("id") in used:
            element.set("id", f"{name}-{element.get('id')}")
        else:
            element.attrib.pop("id", None)
        if clip := element.get("clip-path"):
            element.set("clip-path", f"url(#{name}-{clip[5:-1]})")
        if (link := element.get("href", "")).startswith("#"):
            element.set("href", f"#{name}-{link[1:]}")
    for parent, path in [(root, "metadata"), *((defs, "style") for defs in root.findall("defs"))]:
        for child in parent.findall(path):
            parent.remove(child)
    for attribute in ("width", "height"):
        root.attrib.pop(attribute, None)
    root.set("role", "img")
    root.set("aria-label", title)
    text = ElementTree.tostring(root, encoding="unicode")
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return Markup(text)


@_drawn
def clocks(names: Sequence[str], needed: Mapping[str, float], adding: Mapping[str, float],
           interval: float | None) -> tuple[Figure, str]:
    """Bars of the clocks that each layer needs for an image, beside the interval of the array.

    Parameters
    ----------
    names : of the layers, the input among them
    needed : predicted clocks, by name
    adding : measured clocks in which its lanes added, by name; poolings have none
    interval : measured clocks from image to image, or ``None``
    """
    figure, axes = _figure(0.7 + 0.34 * len(names))
    rows = range(len(names))
    axes.barh(rows, [needed[name] for name in names], height=0.62, color=_SOFT,
              label="needed, predicted")
    axes.barh(rows, [adding.get(name, 0) for name in names], height=0.3, color=_ACCENT,
              label="lanes adding")
    if interval is not None:
        axes.axvline(interval, color=_WARM, label="image to image")
    axes.set_yticks(rows, [_label(name) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("clocks an image")
    axes.grid(True)
    _thousands(axes.xaxis)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3,
                  handlelength=1.2, columnspacing=1)
    every = "" if interval is None else f"; an image every {interval:,.0f} clocks"
    longest = max(names, key=lambda name: needed[name])
    return figure, (f"Clocks an image by layer: {printable(longest)} needs most, "
                    f"{needed[longest]:,.0f}{every}.")


@_drawn
def alone(names: Sequence[str], spans: Mapping[str, Sequence[float]], latency: float
          ) -> tuple[Figure, str]:
    """Bars from each layer's first output to its last, for an image that is alone.

    Parameters
    ----------
    spans : clocks of the two outputs, by name
    latency : clocks to the last logits
    """
    figure, axes = _figure(0.6 + 0.3 * len(names))
    rows = range(len(names))
    axes.barh(rows, [spans[name][1] - spans[name][0] + 1 for name in names],
              left=[spans[name][0] for name in names], height=0.5, color=_ACCENT)
    axes.set_yticks(rows, [_label(name) for name in names])
    axes.set_xlim(0, latency * 1.02)
    axes.invert_yaxis()
    axes.set_xlabel("clocks since the image's first pixel")
    axes.grid(True)
    _thousands(axes.xaxis)
    return figure, (f"From the first to the last output of each layer, of an image that is alone: "
                    f"the logits are there after {latency:,.0f} clocks.")


@_drawn
def occupancy(width: int, shares: Mapping[str, Sequence[float]], completed: Sequence[int]
              ) -> tuple[Figure, str]:
    """How busy the lanes of each layer are over time.

    Parameters
    ----------
    width : clocks of a bin
    shares : core name -> share of each bin
    completed : clocks in which an image was done
    """
    figure, all_axes = _figure(0.75 + 0.55 * len(shares), nrows=len(shares), sharex=True,
                               squeeze=False)
    for axes, (name, values) in zip(all_axes[:, 0], shares.items(), strict=True):
        edges = [width * k for k in range(len(values) + 1)]
        axes.stairs(values, edges, fill=True, color=_ACCENT)
        axes.axhline(1, color=_GRID, linewidth=0.6)
        for clock in completed:
            axes.axvline(clock, color=_WARM, linewidth=0.9)
        axes.set_xlim(0, edges[-1])
        axes.set_ylim(0, 1.04)
        axes.set_yticks([0.5], [_label(name)])
        axes.spines["left"].set_visible(False)
    _thousands(all_axes[-1, 0].xaxis)
    all_axes[-1, 0].set_xlabel("clocks; an orange line: an image is done")
    return figure, ("Share of the lanes that add, over time, in steady state: "
                    + ", ".join(f"{printable(name)} {sum(values) / len(values):.0%}"
                                for name, values in shares.items()) + ".")


@_drawn
def points(pairs: Sequence[Sequence[int]]) -> tuple[Figure, str]:
    """Clocks against spikes, a point for each image.

    Parameters
    ----------
    pairs : spikes and clocks of each image that was alone
    """
    figure, axes = _figure(2.9)
    spikes, latency = zip(*pairs, strict=True)
    axes.plot(spikes, latency, "o", markersize=3.2, color=_ACCENT, alpha=0.75,
              markeredgewidth=0)
    axes.margins(0.08)
    axes.set_xlabel("spikes that neurons receive for an image")
    axes.set_ylabel("clocks, image alone")
    axes.grid(True, axis="both")
    _thousands(axes.xaxis)
    _thousands(axes.yaxis)
    return figure, (f"Clocks against spikes of {len(pairs)} images: from {min(latency):,} clocks "
                    f"to {max(latency):,}, for {min(spikes):,} to {max(spikes):,} spikes.")


def _strokes(axes, lines, share, channels, colour):
    """Horizontal lines, so thick that those of adjacent channels touch where there is room.

    Parameters
    ----------
    lines : channel, begin and end of each
    share : height of the layer's axes
    """
    vertices = [(x, channel) for channel, *ends in lines for x in ends]
    if vertices:
        axes.add_patch(PathPatch(
            Path(vertices, [Path.MOVETO, Path.LINETO] * len(lines)), fill=False, edgecolor=colour,
            capstyle="butt", linewidth=max(0.5, min(2.5, 0.8 * 2 * share / channels))))


def _layered(layers):
    """A figure with a row of axes for each layer, and the heights of these."""
    shares = [max(8, min(64, layer["channels"])) for layer in layers]
    figure, all_axes = _figure(0.6 + sum(shares) / 36 + 0.12 * len(layers), nrows=len(layers),
                               sharex=True, squeeze=False, height_ratios=shares)
    for axes, layer in zip(all_axes[:, 0], layers, strict=True):
        axes.set_ylim(layer["channels"] - 0.4, -0.6)
        axes.set_yticks([(layer["channels"] - 1) / 2], [_label(layer["name"])])
    return figure, all_axes[:, 0], shares


@_drawn
def raster(end: int, layers: Sequence[dict]) -> tuple[Figure, str]:
    """Which channel of which layer sends spikes when, for one image.

    Parameters
    ----------
    end : clocks to the last logits
    layers : dicts with ``name``, ``channels`` and ``runs`` of (channel, from clock, until clock)
    """
    figure, all_axes, shares = _layered(layers)
    for axes, layer, share in zip(all_axes, layers, shares, strict=True):
        _strokes(axes, layer["runs"], share, layer["channels"], _ACCENT)
        axes.set_xlim(0, end)
    _thousands(all_axes[-1].xaxis)
    all_axes[-1].set_xlabel("clocks since the image's first pixel")
    return figure, ("Spike raster of one image: a row a channel, a mark where it sends spikes: "
                    + ", ".join(f"{printable(layer['name'])} {layer['channels']} channels"
                                for layer in layers) + ".")


@_drawn
def steps(awake: Sequence[bool], layers: Sequence[dict]) -> tuple[Figure, str]:
    """Which channel of which layer sends spikes in which time-step, and takes them back.

    Parameters
    ----------
    awake : for each time-step whether the input charges the membranes
    layers : see :func:`gen.report.steps.steps`
    """
    figure, all_axes, shares = _layered(layers)
    for axes, layer, share in zip(all_axes, layers, shares, strict=True):
        for which, colour, begin in (("added", _ACCENT, 0.55), ("taken", _WARM, 1)):
            lines = [(channel, step + begin, step + begin + 0.45) for channel, step in layer[which]]
            _strokes(axes, lines, share, layer["channels"], colour)
        for step, wakes in enumerate(awake):
            if not wakes:
                axes.axvspan(step + 0.5, step + 1.5, color=_GRID, alpha=0.45)
        axes.set_xlim(0.5, len(awake) + 0.5)
    _thousands(all_axes[-1].xaxis)
    all_axes[-1].set_xlabel("time-step")
    return figure, ("Spikes of one image by time-step: " + ", ".join(
        f"{printable(layer['name'])} sends {sum(layer['spikes']):,} and takes back "
        f"{sum(layer['takes']):,}" for layer in layers) + ".")


@_drawn
def logits(after: Sequence[Sequence[int]]) -> tuple[Figure, str]:
    """Logits after each time-step, the class that is greatest at the end in another colour.

    Parameters
    ----------
    after : for each time-step the logits of all classes
    """
    figure, axes = _figure(2.9)
    numbers = range(1, len(after) + 1)
    last = after[-1].index(max(after[-1]))
    for label, values in enumerate(zip(*after, strict=True)):
        wins = label == last
        axes.plot(numbers, values, "o-", markersize=3.2, color=_ACCENT if wins else _MUTED,
                  linewidth=2 if wins else 0.8, zorder=3 if wins else 2)
        axes.annotate(str(label), (numbers[-1], values[-1]), (4, 0), textcoords="offset points",
                      va="center", color=_ACCENT if wins else _MUTED)
    axes.set_xlabel("time-step")
    axes.set_ylabel("logit after it")
    axes.grid(True, axis="both")
    _thousands(axes.xaxis)
    _thousands(axes.yaxis)
    return figure, (f"Logits of {len(after[0])} classes after each of {len(after)} time-steps: "
                    f"class {last} is greatest at the end.")


@_drawn
def picture(pixels: Sequence[Sequence[Sequence[int]]], greatest: int) -> tuple[Figure, str]:
    """An image, ``(C, H, W)``: three channels in colour, else their mean in grey.

    Parameters
    ----------
    greatest : value of a pixel that is shown white
    """
    channels, height, width = len(pixels), len(pixels[0]), len(pixels[0][0])
    figure = Figure(figsize=(1.2, 1.2 * height / width))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    colours = [[[pixels[c][y][x] / greatest for c in range(channels)] for x in range(width)]
               for y in range(height)]
    greys = [[sum(pixel) / channels for pixel in row] for row in colours]
    axes.imshow(colours if channels == 3 else greys, cmap="gray", vmin=0, vmax=1,
                interpolation="nearest", aspect="auto")
    return figure, f"The image: {width} by {height} pixels."
