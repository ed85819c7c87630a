"""Access to the data folder: the user that runs the node, nobody else."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path

import structlog

from node.errors import ConfigurationError

_log = structlog.get_logger(__name__)
_OTHERS, _OURS = 0o077, 0o700


def close_to_others(data: Path) -> None:
    """Make the data folder, where it is not there, and from here on each file of this process and its children, for
    this user alone.

    A folder that is there already stays as it is; where others may enter it, that is logged. None of these processes
    leaves its memory behind when it crashes: it holds patients' images.
    """
    os.umask(_OTHERS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        data.mkdir(mode=_OURS, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"node.data: the folder {data} cannot be made: {error.strerror}") from error
    if is_open(data):
        _log.warning("the data folder is open to others: chmod 700 it, if it is ReadFirst's alone", data=str(data))


def is_open(data: Path) -> bool:
    """Whether others than its owner may enter or read the folder."""
    return bool(stat.S_IMODE(data.stat().st_mode) & _OTHERS)
