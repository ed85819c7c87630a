"""CT series that are too many or too large slices, or hold several passes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from tests.fuzz import wire
from tests.fuzz.caller import Caller
from tests.node.phantoms import encoded
from tests.system.hostile.kind import Answer, Kind, spread
from tests.system.hostile.limited import HOSTILE, Site
from tests.workers.imaging_phantoms import ct_series
from tests.workers.inputs.test_passes import PASSES
from workers.inputs.stack import MOST_SLICES

_LARGE = 30_000.0  # mm, distance of slices


def _too_much(site: Site, most: int) -> Iterator[Answer]:
    for count, distance in ((12, _LARGE), (MOST_SLICES + 1, 0.5))[:most]:
        slices = ct_series([distance * number for number in range(count)], generate_uid(), **_ids())
        yield _stored(site, f"{count} slices, {distance:g} mm apart", slices)


def _passes(site: Site, most: int) -> Iterator[Answer]:
    for name, (one, other, _) in spread(list(PASSES.items()), most):
        ids, series = _ids(), generate_uid()
        for ds in chain(one, other):
            ds.SeriesInstanceUID, ds.StudyInstanceUID = series, ids["StudyInstanceUID"]
            ds.SOPInstanceUID = generate_uid()
        yield _stored(site, name, [*one, *other])


def _ids() -> dict[str, str]:
    return {"StudyInstanceUID": generate_uid(), "PatientID": "H2"}


def _stored(site: Site, name: str, slices: Iterable[Dataset]) -> Answer:
    """Over one association; its last answer."""
    caller, answer = Caller(site.house.port), "0x0000"
    with caller.sock:
        contexts = ((wire.CONTEXT, CTImageStorage, (ExplicitVRLittleEndian,)),)
        caller.send(wire.association_request(contexts, calling=HOSTILE.encode()))
        caller.read()
        for ds in slices:
            caller.send(wire.stored(str(ds.SOPInstanceUID), encoded(ds)))
            if (answer := caller.read()) != "0x0000":
                break
        caller.send(wire.pdu(wire.RELEASE, bytes(4)))
        caller.read()
    return Answer(name, answer, answer == "0x0000")


KINDS = (
    Kind("too many, too large slices", _too_much, few=1),
    Kind("several passes in a series", _passes, few=1),
)
