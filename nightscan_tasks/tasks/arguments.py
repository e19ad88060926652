"""What a message asks for is of the kinds that a task's signature names, before anything is begun.

The worker looks at it when it is there (`checked`), and whoever sends it before it is sent
(`refuse_misfits`), where a mistake is seen by the one who made it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from kombu.utils.json import dumps, loads
from pydantic import ConfigDict, ValidationError, validate_call

P = ParamSpec("P")
R = TypeVar("R")
_FITS = "nightscan_fits"
_STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True)


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """The same; `TypeError` names an argument that is of another kind, without its value."""
    validated = validate_call(config=_STRICT)(function)

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with _told_without_values():
            return validated(*args, **kwargs)

    @wraps(function)
    def nothing(*_args: P.args, **_kwargs: P.kwargs) -> None:
        """Takes the same, and does nothing with it."""

    empty = validate_call(config=_STRICT)(nothing)

    def fits(*args: P.args, **kwargs: P.kwargs) -> None:
        with _told_without_values():
            empty(*args, **kwargs)

    setattr(run, _FITS, wraps(function)(fits))
    return run


def fitting(fits: Callable[..., object]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """For a task that takes what another function understands: that one is asked, and changes nothing."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        setattr(function, _FITS, fits)
        return function

    return decorate


def refuse_misfits(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """`TypeError`, or what the task itself would raise, where it does not take such arguments.

    They are looked at as they arrive, after JSON.
    """
    args, kwargs = loads(dumps([list(args), dict(kwargs)]))
    fits = getattr(task.run, _FITS, None)
    if fits is None:
        inspect.signature(task.run).bind(*args, **kwargs)
    elif next(iter(inspect.signature(fits).parameters), "") == "self":
        fits(task, *args, **kwargs)
    else:
        fits(*args, **kwargs)


@contextmanager
def _told_without_values() -> Iterator[None]:
    """What an argument is may be a secret."""
    try:
        yield
    except ValidationError as exc:
        problems = (f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors())
        raise TypeError("; ".join(problems)) from None
