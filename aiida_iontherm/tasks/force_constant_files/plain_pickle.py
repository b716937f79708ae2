"""Pickles that hold data, read without running anything they hold.

A pickle is a small program: it names functions and classes of any module, and calls them. Here every name is looked up
in a short list, and what it stands for is not the class or function itself but a stand-in of this module: NumPy's
arrays are made from their bytes, objects of other classes become a `Record` of their attributes, whose methods nobody
calls. No module is imported, no name outside the list is accepted, and arrays hold numbers or text, never objects.
"""

from __future__ import annotations

import io
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DAMAGED = (
    pickle.UnpicklingError,
    EOFError,
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a pickle that is cut short, damaged or made up makes Python raise."""

_KIND = re.compile(r"[fiubc]\d{1,2}|[US]\d{1,6}")


class Record:
    """Attributes of an object of a class that is known by name only."""

    __slots__ = ("items", "state")

    state: dict[str, Any]
    items: dict[Any, Any]

    def __new__(cls, *_arguments: object) -> Record:
        """Take any arguments and leave them."""
        made = object.__new__(cls)
        made.state, made.items = {}, {}
        return made

    def __setstate__(self, state: object) -> None:
        """Keep attributes."""
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("an object has attributes without names")
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        """Keep items, for classes made from dict."""
        self.items[key] = value


class _Kind:
    """NumPy's dtype of numbers or text."""

    __slots__ = ("dtype",)

    dtype: np.dtype[Any]

    def __new__(cls, code: object, *_flags: object) -> _Kind:
        if not isinstance(code, str) or _KIND.fullmatch(code) is None:
            raise pickle.UnpicklingError(f"an array is of kind {str(code)[:20]!r}, and not of numbers or text")
        made = object.__new__(cls)
        made.dtype = np.dtype(code)
        return made

    def __setstate__(self, state: Any) -> None:
        if state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("an array has an unknown order of bytes")
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """NumPy's array, filled from bytes."""

    __slots__ = ("values",)

    values: NDArray[Any]

    def __setstate__(self, state: Any) -> None:
        _version, shape, kind, fortran, data = state
        self.values = _filled(data, kind, shape, "F" if fortran else "C")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.values, dtype=dtype)


class _Call:
    """A function that a pickle may call; its attributes cannot be set."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("a function has no attributes to set")


def _filled(data: Any, kind: Any, shape: Any, order: Any) -> NDArray[Any]:
    if not isinstance(data, bytes | bytearray) or not isinstance(kind, _Kind) or order not in ("C", "F"):
        raise pickle.UnpicklingError("an array is not made of numbers or text")
    return np.frombuffer(bytes(data), dtype=kind.dtype).reshape(shape, order=order)


def _empty(*_arguments: object) -> _Array:
    made = _Array()
    made.values = np.zeros(0)
    return made


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any, *_more: object) -> _Array:
    made = _Array()
    made.values = _filled(data, kind, shape, order)
    return made


def _scalar(kind: Any, data: Any) -> Any:
    return _filled(data, kind, (), "C").item()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
        raise pickle.UnpicklingError("bytes are written in an unknown way")
    return text.encode("latin1")


_KNOWN: dict[str, Any] = {
    "numpy.dtype": _Kind,
    "numpy.ndarray": _Array,
    "_codecs.encode": _Call(_encode),
    "collections.OrderedDict": OrderedDict,
    **{f"{module}.{kind.__name__}": kind for module in ("builtins", "__builtin__") for kind in (set, frozenset)},
}
# NumPy moved its core in version 2.
for _core in ("numpy.core", "numpy._core"):
    _KNOWN |= {
        f"{_core}.multiarray._reconstruct": _Call(_empty),
        f"{_core}.multiarray.scalar": _Call(_scalar),
        f"{_core}.numeric._frombuffer": _Call(_from_buffer),
    }


class _Reader(pickle.Unpickler):
    def __init__(self, data: bytes, records: Collection[str]) -> None:
        super().__init__(io.BytesIO(data))
        self._records = frozenset(records)

    def find_class(self, module: str, name: str, /) -> Any:
        """Stand-in for a name, never what it names."""
        full = f"{module}.{name}"
        if full in self._records:
            return Record
        if full in _KNOWN:
            return _KNOWN[full]
        raise _UnknownNameError(full)


class _UnknownNameError(pickle.UnpicklingError):
    """A pickle names something that is not in the list."""


def plain_load(data: bytes, name: str, records: Collection[str] = ()) -> Any:
    """Read a pickle of plain containers, numbers, text and NumPy arrays.

    Parameters
    ----------
    data
        The pickle.
    name
        What it is called in errors.
    records
        Full names of classes whose objects become a `Record`.

    Returns
    -------
    What the pickle holds. Arrays are of a class of their own: turn them with `numpy.asarray`.

    Raises
    ------
    ValueError
        If it names anything else, which is then not looked up, or is damaged.
    """
    try:
        return _Reader(data, records).load()
    except _UnknownNameError as error:
        raise ValueError(
            f"{name} is a Python pickle that asks for {error}, which data do not need: nothing of it was run; do not "
            "open it with another program if you do not know where it comes from"
        ) from error
    except _DAMAGED as error:
        raise ValueError(f"{name} is damaged, or not what it seems: {error}") from error
