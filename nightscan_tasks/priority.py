"""Work that stands back for the application: nice for the processor, ionice for the disk.

Both belong to a thread, and whatever a thread starts inherits them: threads and programs alike. Who has
no special rights can raise them, and never lower them again. So the work gets a thread of its own, and the
process that is to restore something next is as quick as before.
"""

from __future__ import annotations

import contextvars
import ctypes
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from nightscan_tasks import process
from nightscan_tasks.errors import SettingsError
from nightscan_tasks.settings import Settings

T = TypeVar("T")

_CLASSES = {"best-effort": ("-c", "2", "-n", "7"), "idle": ("-c", "3")}
_STRICTER = {"best-effort": ("idle", "best-effort: prio 7"), "idle": ("idle",)}
_ENDS_SECONDS = 10
_AWAKE_SECONDS = 1  # a signal that comes just before a wait begins is seen only when the wait ends


def standing_back(settings: Settings, work: Callable[[], T]) -> T:
    """Do `work` with `NIGHTSCAN_NICE` and `NIGHTSCAN_IONICE`; as it is where neither is set.

    Who is told to stop while it goes on passes that on to it, and waits a little for its end.
    """
    if not settings.nice and not settings.ionice:
        return work()
    done: Future[T] = Future()
    thread = threading.Thread(target=contextvars.copy_context().run, args=(_do, settings, work, done),
                              name="standing back", daemon=True)
    try:
        thread.start()
        while not wait((done,), _AWAKE_SECONDS).done:
            pass
        return done.result()
    except BaseException:
        if thread.is_alive() and not done.done():
            _interrupt(thread)
            thread.join(_ENDS_SECONDS)
        raise


def stand_back(settings: Settings) -> None:
    """Let this thread stand back from now on, and whatever it starts. Never less than it does already."""
    if settings.nice > os.getpriority(os.PRIO_PROCESS, threading.get_native_id()):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), settings.nice)
    if settings.ionice:
        _ionice(settings.ionice)


def _do(settings: Settings, work: Callable[[], T], done: Future[T]) -> None:
    try:
        stand_back(settings)
        done.set_result(work())
    except BaseException as exc:  # noqa: BLE001 - it is raised where it is waited for
        done.set_exception(exc)


def _ionice(wanted: str) -> None:
    """util-linux's program knows the system call's number on every machine."""
    program = shutil.which("ionice")
    if program is None:
        raise SettingsError(f"NIGHTSCAN_IONICE={wanted} needs the program ionice: "
                            f"`apt-get install util-linux`, or unset it")
    thread = str(threading.get_native_id())
    if process.run([program, "-p", thread]).decode().strip() not in _STRICTER[wanted]:
        process.run([program, *_CLASSES[wanted], "-p", thread])


def _interrupt(thread: threading.Thread) -> None:
    """Raise `KeyboardInterrupt` in another thread: it stops at its next step, and cleans up as ever."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0),
                                               ctypes.py_object(KeyboardInterrupt))
