"""Frozen dataclasses as values that JSON has, and back by their annotations.

A field that is added to a dataclass needs nothing here, as long as its annotation is made of
dataclasses, tuples, frozen sets, unions, fractions and what JSON has itself. If a union has several
dataclasses, the object names its own under ``is``.
"""

import sys
import types
import typing
from dataclasses import fields, is_dataclass
from fractions import Fraction
from typing import Any

__all__ = ["Mismatch", "from_plain", "to_plain"]

_TAG = "is"

_WORDS = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}


class Mismatch(ValueError):
    """A value is not what an annotation says; the message names the place, as ``a.b[3]``."""


def to_plain(value: object, kind: object = None) -> Any:
    """A value as JSON has it; see :func:`from_plain`.

    Parameters
    ----------
    kind : the annotation of a field that has the value

    Raises
    ------
    TypeError
        If it is of a type that this module does not know.
    """
    if is_dataclass(value):
        hints = typing.get_type_hints(type(value))
        plain = {field.name: to_plain(getattr(value, field.name), hints[field.name])
                 for field in fields(value)}
        return {_TAG: type(value).__name__, **plain} if len(_classes(kind)) > 1 else plain
    if isinstance(value, Fraction):
        return [value.numerator, value.denominator]
    if isinstance(value, tuple):
        kinds = _items(kind, len(value)) or (None,) * len(value)
        return [to_plain(item, inner) for item, inner in zip(value, kinds, strict=True)]
    if isinstance(value, frozenset):
        return sorted(map(to_plain, value), key=repr)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _classes(kind):
    """The dataclasses of a union, by name."""
    return {choice.__name__: choice for choice in _choices(kind)
            if isinstance(choice, type) and is_dataclass(choice)}


def _choices(kind):
    union = typing.get_origin(kind) in (types.UnionType, typing.Union)
    return typing.get_args(kind) if union else (kind,)


def _items(kind, count):
    """Annotations of a tuple's items, or None if it is no tuple of ``count`` items."""
    kinds = typing.get_args(kind) if typing.get_origin(kind) is tuple else ()
    if kinds[1:] == (...,):
        return kinds[:1] * count
    return kinds if len(kinds) == count else None


def from_plain(kind: Any, value: object, where: str = "") -> Any:
    """The value of an annotated type that JSON's value stands for.

    Parameters
    ----------
    kind : a dataclass, or any annotation that a field of one may have
    value : what :func:`to_plain` has made, or anything that JSON can hold
    where : name of the value, for messages

    Raises
    ------
    Mismatch
        If it is anything else.
    """
    choices = _choices(kind)
    if value is None and types.NoneType in choices:
        return None
    choices = [choice for choice in choices if choice is not types.NoneType]
    if len(choices) == 1:
        return _one(choices[0], value, where)
    if classes := _classes(kind):
        return _one_of(classes, value, where)
    for choice in choices:
        if type(value) is choice:
            return _one(choice, value, where)
    raise _wrong(where, " or ".join(_WORDS[choice] for choice in choices), value)


def _one_of(classes, value, where):
    name = value.get(_TAG) if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in classes:
        raise _wrong(where, f"an object that is a {' or '.join(classes)}", value)
    return _one(classes[name], {key: value[key] for key in value if key != _TAG}, where)


def _one(kind, value, where):
    if is_dataclass(kind):
        return _record(kind, value, where)
    if kind is Fraction:
        numerator, denominator = from_plain(tuple[int, int], value, where)
        if denominator < 1:
            raise _wrong(where, "a fraction", value)
        return Fraction(numerator, denominator)
    if typing.get_origin(kind) in (tuple, frozenset):
        return _sequence(kind, value, where)
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise _wrong(where, _WORDS[kind], value)
    if kind is float and not abs(value) <= sys.float_info.max:  # false for NaN, too
        raise _wrong(where, _WORDS[kind], value)
    return value


def _sequence(kind, value, where):
    if not isinstance(value, list):
        raise _wrong(where, "a list", value)
    if typing.get_origin(kind) is frozenset:
        (item,) = typing.get_args(kind)
        return frozenset(from_plain(item, inner, f"{where}[{k}]") for k, inner in enumerate(value))
    kinds = _items(kind, len(value))
    if kinds is None:
        raise _wrong(where, f"a list of {len(typing.get_args(kind))}", value)
    return tuple(from_plain(item, inner, f"{where}[{k}]")
                 for k, (item, inner) in enumerate(zip(kinds, value, strict=True)))


def _record(kind, value, where):
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    hints = typing.get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    for name in value:
        if name not in names:
            raise Mismatch(f"{where or 'the object'} has {_shown(name)}, which is no field of "
                           f"{kind.__name__}")
    given = {}
    for name in names:
        place = f"{where}.{name}" if where else name
        if name not in value:
            raise Mismatch(f"{place} is missing")
        given[name] = from_plain(hints[name], value[name], place)
    try:
        return kind(**given)
    except ValueError as error:
        raise Mismatch(f"{where or kind.__name__}: {error}") from error


def _shown(value):
    """A value in a message; a nested value may be too deep to show."""
    kinds: dict[type, str] = {list: "a list", dict: "an object"}
    return kinds.get(type(value)) or f"{str(value)[:40]!r}"


def _wrong(where, what, value):
    return Mismatch(f"{where or 'it'} must be {what}, not {_shown(value)}")
