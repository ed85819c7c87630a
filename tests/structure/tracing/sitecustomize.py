"""In each Python process of a traced node: which functions of the source run, while which walk goes on.

The environment names `TESTS_TRACE`, a folder: its file `walk` has one byte, the walk's number (0: none); a line
`walk file function` is added to its file `called` when a function is first called in that walk by this process.
"""

import mmap
import os
import sys
import threading

_folder = os.environ.get("TESTS_TRACE")
if _folder:
    _tree = os.environ["TESTS_TRACE_TREE"].rstrip("/") + "/"
    _ours = tuple(_tree + package + "/" for package in ("node", "workers", "models"))
    with open(os.path.join(_folder, "walk"), "rb") as _file:  # noqa: PTH118, PTH123
        _walk = mmap.mmap(_file.fileno(), 1, prot=mmap.PROT_READ)
    _out = os.open(os.path.join(_folder, "called"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)  # noqa: PTH118
    _seen = set()

    def _profile(frame, event, _argument):
        if event != "call":
            return
        code = frame.f_code
        key = (_walk[0], code)
        if key in _seen:
            return
        _seen.add(key)
        if code.co_filename.startswith(_ours) and code.co_name != "<module>":
            name = f"{code.co_qualname}:{code.co_firstlineno}".replace(" ", "")
            os.write(_out, f"{key[0]} {code.co_filename[len(_tree) :]} {name}\n".encode())

    threading.setprofile(_profile)
    sys.setprofile(_profile)
