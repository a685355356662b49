"""A function called in a forked child: what it does to its own process is done to that alone."""

import os
import pickle
import sys
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


def in_child(function: Callable[..., Result], *arguments: Any) -> Result:
    """Its result, or its exception, comes back."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _child(function, arguments, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        data = file.read()
    os.waitpid(pid, 0)
    worked, result = pickle.loads(data)
    if not worked:
        raise result
    return result  # type: ignore[no-any-return]


def _child(function: Callable[..., Any], arguments: tuple[Any, ...], writing: int) -> None:
    try:
        result = (True, function(*arguments))
    except BaseException as error:
        traceback.print_exc(file=sys.stderr)
        result = (False, error)
    try:
        os.write(writing, pickle.dumps(result))
    finally:
        os._exit(0)
