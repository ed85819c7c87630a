"""Nobody gets further in: a decoding child that really tries, each layer alone, and kernels that lack one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.imaging_phantoms import pydicom_file
from tests.workers.inputs.decoding.intrusions import attempts
from workers.inputs.decoding import decoder as decode
from workers.inputs.decoding.confinement import LAYERS, landlock_version
from workers.inputs.decoding.decoder import Decoder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these protections are Linux's")
ROOT = Path(__file__).parents[4]
FILES = {
    "read the TLS key", "list the data folder", "write a file", "make a folder", "rename the key", "remove a file",
    "read the environment of the node", "run a program",
}  # fmt: skip
HOSTILE = """
import json, sys
import numpy as np
from tests.workers.inputs.decoding import intrusions
from workers.inputs.decoding import child
key, port = {key!r}, {port}
tried = intrusions.attempts(key, port)
right = child.decode
def hostile(content, largest):
    if content != b"the key":
        return right(content, largest)
    return np.array([[intrusions.refused(attempt) for attempt in tried.values()]], np.uint8)
child.decode = hostile
sys.exit(child.main(sys.argv[1:]))
"""
ALONE = """
import ctypes, json, os, sys
from tests.workers.inputs.decoding import intrusions
from workers.inputs.decoding import confinement
wanted = json.loads(sys.argv[3])
tried = intrusions.attempts(sys.argv[1], int(sys.argv[2]))
{before}
held = (confinement.unplug() if confinement.LAYERS[0] in wanted else ()) + confinement.confine(tuple(wanted))
print(json.dumps([held, [name for name, attempt in tried.items() if intrusions.refused(attempt)]]), flush=True)
os._exit(0)
"""


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A TLS key in a folder of the node."""
    (tmp_path / "removable").touch()
    (tmp_path / "key.pem").write_bytes(b"the key")
    (tmp_path / "key.pem").chmod(0o600)
    return tmp_path / "key.pem"


@pytest.fixture
def port() -> Iterator[int]:
    """Where something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_child_that_tries_everything_gets_nothing_and_goes_on_decoding(
    monkeypatch: pytest.MonkeyPatch, key: Path, port: int
) -> None:
    start, program = subprocess.Popen, HOSTILE.format(key=str(key), port=port)

    def started(arguments: list[str], **options: object) -> subprocess.Popen[bytes]:
        return start([arguments[0], "-c", program, *arguments[3:]], **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(decode.subprocess, "Popen", started)
    small, names = pydicom_file("MR_small_RLE.dcm"), list(attempts(str(key), port))
    with Decoder() as decoder:
        assert decoder.decode(small).shape == (64, 64)
        found = decoder.decode(key)[0]
        assert [name for name, refused in zip(names, found, strict=True) if not refused] == []
        assert decoder.decode(small).shape == (64, 64)
    assert key.read_bytes() == b"the key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in key.parent.iterdir()) == ["key.pem", "removable"]


def _alone(key: Path, port: int, layers: tuple[str, ...], before: str = "") -> tuple[tuple[str, ...], set[str]]:
    """(the layers that hold, the attempts that were refused) in a process that confines itself by these layers."""
    arguments = [sys.executable, "-c", ALONE.format(before=before), str(key), str(port), json.dumps(layers)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    held, found = json.loads(done.stdout.splitlines()[-1])
    return tuple(held), set(found)


def test_without_a_layer_nothing_is_refused(key: Path, port: int) -> None:
    held, found = _alone(key, port, ())
    assert held == ()
    rights = {"trace the node", "make a user namespace", "raise a limit", "get at another process's descriptors"}
    assert not found & FILES
    assert not found - rights - {"load a BPF program", "make an io_uring", "handle page faults"}  # a container's own


def test_landlock_alone_keeps_files_and_tcp_and_other_processes(key: Path, port: int) -> None:
    held, found = _alone(key, port, ("no new privileges", "no files"))
    if "no files" not in held:
        pytest.skip("this kernel has no Landlock")
    assert found >= FILES | {"trace the node"}
    assert ("connect to the node" in found) == (landlock_version() >= 4)
    assert ("signal the node" in found) == (landlock_version() >= 6)


def test_the_filter_alone_keeps_everything(key: Path, port: int) -> None:
    held, found = _alone(key, port, ("no new privileges", "filtered calls"))
    if "filtered calls" not in held:
        pytest.skip("this kernel has no seccomp filters")
    assert found == set(attempts(str(key), port))


def test_an_own_network_alone_has_nobody_in_it(key: Path, port: int) -> None:
    program = """
import errno, socket
def reached():
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[2])), 2)
    except OSError as error:
        raise PermissionError(errno.EPERM, "nobody there") from error
tried = {"connect to the node": reached}
"""
    held, found = _alone(key, port, ("own network",), program)
    if "own network" not in held:
        pytest.skip("this kernel, or the container around it, gives no network namespace")
    assert "connect to the node" in found


@pytest.mark.skipif(os.geteuid() != 0, reason="it is run as a user who is not root anyhow")
def test_a_user_who_is_not_root_is_confined_alike(key: Path, port: int) -> None:
    become = "os.setgroups([]); os.setgid(65534); os.setuid(65534); tried = dict(tried)"
    held, found = _alone(key, port, LAYERS, become)
    assert held[-4:] == LAYERS[1:] if landlock_version() else LAYERS[1:3] + LAYERS[4:]
    assert found == set(attempts(str(key), port))


LACKING = {
    "a container that makes no namespaces": ("unshare", LAYERS[1:]),
    "no Landlock": ("landlock", (*LAYERS[:3], LAYERS[4])),
    "no seccomp": ("seccomp", LAYERS[:4]),
}


@pytest.mark.parametrize("what", LACKING)
def test_what_the_kernel_lacks_is_left_out_and_the_rest_holds(key: Path, port: int, what: str) -> None:
    call, expected = LACKING[what]
    before = f"""
class Lacking:
    prctl = staticmethod(confinement._libc().prctl)
    def unshare(self, flags):
        return -1 if "{call}" == "unshare" else ctypes.CDLL(None).unshare(flags)
    def syscall(self, number, *rest):
        lacks = {{"landlock": (444, 446), "seccomp": (317, 277)}}.get("{call}", ())
        return -1 if number in lacks else ctypes.CDLL(None).syscall(number, *rest)
confinement._libc = Lacking
"""
    full, _ = _alone(key, port, LAYERS)
    held, found = _alone(key, port, LAYERS, before)
    assert held == tuple(layer for layer in full if layer in expected)
    assert found >= FILES


def test_the_child_of_a_decoder_holds_what_it_says() -> None:
    with Decoder() as decoder:
        held, process = decoder.layers, Path(f"/proc/{decoder.pid}")
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
        assert set(held) <= set(LAYERS)
        assert ("no new privileges" in held) == (status["NoNewPrivs"] == "1")
        assert ("filtered calls" in held) == (status["Seccomp"] == "2")
        assert ("no capabilities" in held) == (int(status["CapEff"] + status["CapPrm"], 16) == 0)
        assert status["Threads"] == "1"  # Landlock and the namespaces are those of one thread
        if os.geteuid() == 0:
            same = (process / "ns/net").readlink() == Path("/proc/self/ns/net").readlink()
            assert ("own network" in held) == (not same)


def test_check_names_what_holds_and_what_this_machine_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decode.protections().startswith("its child process runs with ")
    monkeypatch.setattr(decode.Decoder, "layers", LAYERS)
    assert decode.protections() == f"its child process runs with {', '.join(LAYERS)}"
    monkeypatch.setattr(decode.Decoder, "layers", LAYERS[1:3])
    assert decode.protections().endswith("refuses: own network, no files, filtered calls")
    monkeypatch.setattr(decode.Decoder, "layers", ())
    assert "none of the protections; this kernel" in decode.protections()


@pytest.mark.parametrize(
    "name",
    [
        "JPEG2000.dcm",
        "JPEG-LL.dcm",
        "JPGExtended.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "image_dfl.dcm",
    ],
)
def test_each_codec_is_loaded_before_the_rights_are_given_up(name: str) -> None:
    with Decoder() as decoder:  # each in a child that decoded nothing before
        assert decoder.decode(pydicom_file(name)).size
