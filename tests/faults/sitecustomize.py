"""Faults and a trace for the processes of a build: loaded by Python itself where PYTHONPATH names this folder.

The variable AT_FAULTS holds JSON: `under` (the folder whose files are meant), `trace` (file that gets a line for every
call), `count` (file that grows by a byte with every call that a fault may hit), `fault` (`what`, `role`, `nth`,
`errno`, `lasting`), `shuffle` (seed of the order in which folders are listed).
"""

# ruff: noqa: PTH100, PTH115, PTH118 - pathlib calls what is wrapped here
import builtins
import io
import json
import multiprocessing
import os
import random
import sys
import time

ORDER = json.loads(os.environ.get("AT_FAULTS", "{}"))
WRITING = set("wax+")
open_file, fsync, stat, write = io.open, os.fsync, os.stat, os.write


def role():
    """Which process this is: the parent, or a worker."""
    workers = sys.modules.get("multiprocessing.process", multiprocessing.process)
    return "parent" if workers.parent_process() is None else "worker"


def grown(path, data):
    """Bytes in a file after these were appended to it, by one of several processes."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        write(handle, data)
        return os.lseek(handle, 0, os.SEEK_CUR)
    finally:
        os.close(handle)


def meant(path):
    return isinstance(path, str) and path.startswith(ORDER["under"])


def named(path, folder=None):
    """Absolute path of what a call names: a path, or a name in an open folder."""
    name = os.fsdecode(os.fspath(path))
    return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), name) if folder is not None else os.path.abspath(name)


def fail(what, path):
    """The error that was ordered, if this call is the one."""
    fault = ORDER.get("fault")
    if fault and what == fault["what"] and role() == fault["role"]:
        call = grown(ORDER["count"], b".")
        if call == fault["nth"] or (fault["lasting"] and call > fault["nth"]):
            raise OSError(fault["errno"], os.strerror(fault["errno"]), path)


def note(what, path, to=None):
    """A line in the trace; what the file is now tells whether it changed since another line."""
    if "trace" in ORDER:
        facts = {"what": what, "path": path, "to": to, "role": role(), "at": time.monotonic()}
        try:
            now = stat(to or path)
            facts |= {"inode": now.st_ino, "state": [now.st_size, now.st_mtime_ns]}
        except OSError:
            pass
        grown(ORDER["trace"], json.dumps(facts).encode() + b"\n")


def wrapped(what, call, path_of):
    def instead(*given, **more):
        path = path_of(*given, **more)
        if not meant(path):
            return call(*given, **more)
        fail(what, path)
        result = call(*given, **more)
        note(what, path, named(given[1], more.get("dst_dir_fd")) if what in {"replace", "rename"} else None)
        return result

    return instead


def opened(call):
    def instead(file, mode="r", *given, **more):
        writes = WRITING & set(mode) and not isinstance(file, int)
        path = named(file) if writes else None
        if not meant(path):
            return call(file, mode, *given, **more)
        fail("open", path)
        result = call(file, mode, *given, **more)
        note("open", path)
        return result

    return instead


def shuffled(call):
    class Listing:
        def __init__(self, entries):
            self.entries = iter(entries)

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.entries)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.close()

        def close(self):
            self.entries = iter(())

    def instead(*given):
        with call(*given) as entries:
            found = list(entries)
        random.Random(ORDER["shuffle"]).shuffle(found)
        return Listing(found)

    return instead


if "under" in ORDER:
    os.fsync = wrapped("fsync", fsync, lambda handle: os.readlink(f"/proc/self/fd/{handle}"))
    for name in ("replace", "rename"):
        first = lambda old, new, *, src_dir_fd=None, dst_dir_fd=None: named(old, src_dir_fd)  # noqa: E731, ARG005
        setattr(os, name, wrapped(name, getattr(os, name), first))
    for name in ("unlink", "rmdir", "mkdir"):
        one = lambda path, mode=0, *, dir_fd=None: named(path, dir_fd)  # noqa: E731, ARG005
        setattr(os, name, wrapped(name, getattr(os, name), one))
    io.open = builtins.open = opened(open_file)
if "shuffle" in ORDER:
    os.scandir = shuffled(os.scandir)
    listdir = os.listdir
    os.listdir = lambda *given: random.Random(ORDER["shuffle"]).sample(found := listdir(*given), len(found))
