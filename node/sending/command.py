"""`readfirst send`: the files, the receiver, the result of each instance."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import Progress

from node import logs
from node.dicom.part10 import read_part10
from node.errors import ReadFirstError, UnreadableInstance
from node.plurals import counted
from node.sending.scu import Requestor, store
from node.settings import AETitle, Peer

_DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage, PS3.4 I.4
_LINE_SECONDS = 10.0  # between lines of progress where there is no terminal
_ADDRESS = re.compile(r"(?P<ae_title>[^@]+)@(?P<host>[^@]+):(?P<port>\d{1,5})")


def send(paths: list[Path], to: str, calling: str) -> bool:
    """Push DICOM files or folders to a node, with progress on stderr; whether every instance was stored.

    Parameters
    ----------
    to
        `AET@HOST:PORT` of the receiver.
    calling
        AE title of the sender.

    Raises
    ------
    ReadFirstError
        An argument is wrong, or there is nothing to send.
    """
    logs.configure()
    peer = parse_address(to)
    files, others = find_dicom(paths)
    requestor = requestor_named(calling)
    with _progress(len(files)) as advance:
        outcomes = store(requestor, peer, files, lambda _result: advance())
    failed = [outcome for outcome in outcomes if outcome.error]
    out = Console(width=None if sys.stdout.isatty() else 200)
    for outcome in failed:
        out.print(f"not sent: {outcome.path}: {outcome.error}", markup=False, soft_wrap=True)
    ignored = counted(others, "other file")
    if not files:
        raise ReadFirstError(f"there is no DICOM instance in {', '.join(map(str, paths))} ({ignored})")
    out.print(f"{len(outcomes) - len(failed)} of {counted(len(files), 'instance')} sent, {ignored} left alone")
    return not failed


@contextmanager
def _progress(total: int, seconds: float = _LINE_SECONDS) -> Iterator[Callable[[], None]]:
    """What is called after each instance: it moves a bar on a terminal, and writes a line now and then elsewhere."""
    if sys.stderr.isatty():
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("sending", total=total)
            yield lambda: progress.advance(task)
        return
    done, due = 0, time.monotonic() + seconds

    def advance() -> None:
        nonlocal done, due
        done += 1
        if time.monotonic() >= due:
            due = time.monotonic() + seconds
            sys.stderr.write(f"sending: {done} of {counted(total, 'instance')}\n")

    yield advance


def parse_address(text: str) -> Peer:
    """The peer that `AET@HOST:PORT` names.

    Raises
    ------
    ReadFirstError
        It is not of that form.
    """
    match = _ADDRESS.fullmatch(text)
    if not match:
        raise ReadFirstError(f"--to {text}: write AET@HOST:PORT, for example READFIRST@127.0.0.1:11112")
    try:
        return Peer(ae_title=match["ae_title"], host=match["host"].strip("[]"), port=int(match["port"]))
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ReadFirstError(f"--to {text}: {reason}; write AET@HOST:PORT with an AE title of DICOM") from error


def requestor_named(ae_title: str) -> Requestor:
    """The sender with this AE title.

    Raises
    ------
    ReadFirstError
        It is no AE title.
    """
    try:
        return Requestor(TypeAdapter(AETitle).validate_python(ae_title))
    except ValidationError as error:
        raise ReadFirstError(f"--as {ae_title}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error


def find_dicom(paths: Iterable[Path]) -> tuple[list[Path], int]:
    """The DICOM instances among files and below folders, sorted, and the number of other files.

    Raises
    ------
    ReadFirstError
        A path does not exist.
    """
    found, others = [], 0
    for path in _files(paths):
        if _is_instance(path):
            found.append(path)
        else:
            others += 1
    return found, others


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.exists():
            raise ReadFirstError(f"there is no {path}")
        yield from sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else (path,)


def _is_instance(path: Path) -> bool:
    try:
        file = read_part10(path)
    except UnreadableInstance:
        return False
    return file.sop_class_uid not in ("", _DIRECTORY) and file.transfer_syntax_uid != ""
