from __future__ import annotations

import errno
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from node.durable import replace_file
from node.entities import StoredInstance
from node.errors import OutOfResources
from node.receiving.store import Store, dataset_sha256
from tests.node.phantoms import INSTANCE, SERIES, STUDY, encoded, image, key, part10

DATASET = encoded(image())
META = part10(b"")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path, 0)
    store.prepare()
    return store


def keep(store: Store, dataset: bytes = DATASET, meta: bytes = META) -> StoredInstance:
    with closing(store.begin(meta)) as incoming:
        incoming.write(memoryview(dataset))
        return incoming.keep(key(), ExplicitVRLittleEndian)


def write(store: Store, dataset: bytes = DATASET, meta: bytes = META) -> Path:
    return store.data / keep(store, dataset, meta).path


def test_a_file_is_what_was_written_under_its_uids(store: Store) -> None:
    path = write(store)
    assert path == store.root / STUDY / SERIES / f"{INSTANCE}.dcm"
    assert path.read_bytes() == META + DATASET
    stored = keep(store)
    assert (stored.sha256, stored.size) == (dataset_sha256(path), len(DATASET))


def test_the_same_content_again_is_the_same_file(store: Store) -> None:
    assert write(store) == write(store)
    assert len(list((store.root / STUDY / SERIES).iterdir())) == 1


def test_the_meta_does_not_count_as_content(store: Store) -> None:
    path = write(store)
    other_meta = part10(b"", sop_class_uid="1.2.840.10008.5.1.4.1.1.4")
    assert write(store, meta=other_meta) == path
    assert path.read_bytes() == META + DATASET


def test_other_content_lies_beside_and_the_first_file_stays(store: Store) -> None:
    first, second, third = write(store), write(store, DATASET + b"2"), write(store, DATASET + b"3")
    assert len({first, second, third}) == 3
    assert first.read_bytes() == META + DATASET
    assert second.read_bytes() == META + DATASET + b"2"
    assert write(store, DATASET + b"2") == second
    assert {path.parent for path in (first, second, third)} == {first.parent}


def test_many_writers_of_two_contents_leave_two_whole_files(store: Store) -> None:
    contents = [DATASET + bytes([number % 2]) * (1 << 18) for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda content: write(store, content), contents))
    assert len(set(paths)) == 2
    assert all(path.read_bytes() == META + content for path, content in zip(paths, contents, strict=True))
    assert sorted(paths[0].parent.iterdir()) == sorted(set(paths))


def test_below_the_watermark_nothing_is_written(tmp_path: Path) -> None:
    store = Store(tmp_path, shutil.disk_usage(tmp_path).total + (1 << 20))
    store.prepare()
    with pytest.raises(OutOfResources, match=r"node\.min_free_mb") as refused:
        write(store)
    assert refused.value.status == 0xA700
    assert list(store.root.iterdir()) == []


def test_a_folder_that_is_gone_is_out_of_resources(tmp_path: Path) -> None:
    with pytest.raises(OutOfResources, match="cannot be used"):
        write(Store(tmp_path / "gone", 0))


def test_a_disk_that_takes_no_file_is_out_of_resources(store: Store) -> None:
    (store.root / STUDY).write_bytes(b"a file where the study's folder must be")
    with pytest.raises(OutOfResources, match="did not take"):
        write(store)


def test_prepare_removes_what_killed_writers_left(store: Store) -> None:
    path = write(store)
    leftover = store.incoming / "tmpabc.part"
    being_written = store.incoming / "tmpdef.part"  # by another node on the same folder
    leftover.write_bytes(META)
    being_written.write_bytes(META)
    os.utime(leftover, (time.time() - 7200,) * 2)
    Store(store.data, 0).prepare()
    assert [*path.parent.iterdir(), *store.incoming.iterdir()] == [path, being_written]


def test_a_torn_file_counts_as_other_content(store: Store) -> None:
    path = write(store)
    path.write_bytes(META[:100])
    assert write(store) != path
    assert path.read_bytes() == META[:100]


def test_bytes_are_on_disk_before_they_have_a_name(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut cannot be had here; the order of the system's calls can."""
    calls: list[str] = []

    def watched(name: str, module: object, attribute: str) -> None:
        real = getattr(module, attribute)

        def call(*values: object, **named: object) -> object:
            calls.append(name)
            return real(*values, **named)

        monkeypatch.setattr(module, attribute, call)

    watched("sync data", os, "fdatasync")
    watched("name", os, "link")
    watched("sync folder", os, "fsync")
    write(store)
    assert calls[-3:] == ["sync data", "name", "sync folder"]
    replaced = store.data / "result.dcm"
    watched("rename", os, "replace")
    calls.clear()
    replace_file(replaced, b"whole")
    assert calls == ["sync data", "rename", "sync folder"]
    assert replaced.read_bytes() == b"whole"
    assert sorted(store.data.iterdir()) == [store.incoming, store.root, replaced]


def test_a_disk_that_takes_not_even_the_beginning_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, 0)
    store.prepare()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as full:
        full.setattr(os, "write", no_space)
        for _ in range(3):
            with pytest.raises(OutOfResources):
                store.begin(b"meta")
    assert list(store.incoming.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def no_space(_descriptor: int, _data: bytes) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")
