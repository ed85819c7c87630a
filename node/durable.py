"""Files that a power cut does not lose: written beside, synced, then named."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

PART = ".part"  # ends the name of a file that is not whole yet


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` at `path`, whole or not at all, in place of what may be there; durable when this returns."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
        name_file(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def name_file(written: Path, path: Path) -> None:
    """Sync a file that is written already, then give it its name, in place of what may be there."""
    descriptor = os.open(written, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    written.replace(path)
    sync_folder(path.parent)


def make_folder(folder: Path, root: Path) -> None:
    """Make `folder`, at most two levels below `root`, durable."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    sync_folder(folder.parent)
    sync_folder(root)


def sync_folder(folder: Path) -> None:
    """Make the names in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def start_writing(descriptor: int, offset: int, size: int) -> None:
    """Let the disk begin with bytes that were written, so that syncing them later waits for little; promises nothing.

    What POSIX calls advice that the bytes are not read soon starts their writing on Linux.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_DONTNEED)
