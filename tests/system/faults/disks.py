"""Disks that are full, or turn read-only; real file systems, so only as root."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.system.faults.accounts import Accounts, count, parts
from tests.system.faults.fault import Fault, Ground, Unavailable
from tests.system.faults.house import House
from tests.waiting import wait_until

_SIZE = 128 << 20  # bytes
_FULL_SECONDS = 4.0


def full(ground: Ground, tries: int, rng: random.Random) -> Accounts:
    """The data folder's file system is filled while studies stream in, and emptied again."""
    with _mounted(ground, "tmpfs", "-o", f"size={_SIZE}", "tmpfs") as data, House(ground.place(), data) as house:
        with house.stream(2 * tries, pause=0.3) as stream:
            for _ in range(tries):
                house.sender.await_answer()
                refused = len(house.sender.statuses)
                ballast = _fill(data / "ballast", leave=rng.choice((0, 30_000, 200_000, 1_000_000)))
                time.sleep(_FULL_SECONDS)
                _await_refusal(house, refused)
                ballast.unlink()
        assert set(house.sender.statuses) == {0xA700}, [hex(one) for one in set(house.sender.statuses)]
        assert not parts(house), "a refused instance left a part"
        return count(house, stream.studies)


def read_only(ground: Ground, tries: int, _rng: random.Random) -> Accounts:
    """The kernel turns the file system read-only, as it does when a disk fails; mended, it is mounted again."""
    image = ground.place()
    image.parent.mkdir(exist_ok=True)
    with image.open("wb") as file:
        file.truncate(_SIZE)
    _run("mkfs.ext4", "-q", "-F", str(image))
    mount = ("ext4", "-o", "loop,errors=remount-ro", str(image))
    with _mounted(ground, *mount) as data, House(ground.place(), data) as house:
        with house.stream(2 * tries, pause=0.3) as stream:
            for _ in range(tries):
                house.sender.await_answer()
                refused = len(house.sender.statuses)
                _break(data)
                _await_refusal(house, refused)
                house.node.end()
                subprocess.run(["umount", str(data)], check=True)  # the node has ended and holds no file of it
                subprocess.run(["fsck.ext4", "-y", str(image)], capture_output=True, check=False)
                subprocess.run(["mount", "-t", *mount, str(data)], check=True)
                house.restart()
        assert set(house.sender.statuses) == {0xA700}, [hex(one) for one in set(house.sender.statuses)]
        return count(house, stream.studies)


def _await_refusal(house: House, before: int) -> None:
    wait_until(lambda: len(house.sender.statuses) > before, "what cannot be kept was not refused")


def _fill(path: Path, leave: int) -> Path:
    """A file that takes all space but so many bytes."""
    with path.open("wb", buffering=0) as file:
        with suppress(OSError):
            while file.write(bytes(1 << 16)):
                pass
        file.truncate(max(file.tell() - leave, 0))
    return path


def _break(data: Path) -> None:
    """Let the kernel find an error on the disk."""
    device = data.stat().st_dev
    name = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
    Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("a fault is tried")


@contextmanager
def _mounted(ground: Ground, *how: str) -> Iterator[Path]:
    if os.geteuid() != 0:
        raise Unavailable("only root may mount file systems")
    folder = ground.place()
    folder.mkdir(parents=True)
    _run("mount", "-t", *how, str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


def _run(*command: str) -> None:
    try:
        subprocess.run(command, capture_output=True, check=True, text=True)
    except FileNotFoundError as error:
        raise Unavailable(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"{' '.join(command[:2])}: {error.stderr.strip()}") from error


FAULTS = (
    Fault("disk full", "a small tmpfs is filled for 4 s and more; refused with 0xA700, no part stays", full),
    Fault(
        "disk read-only",
        "ext4 that finds an error and turns read-only; refused with 0xA700, mended, mounted again",
        read_only,
    ),
)
