"""Which instances a peer shows when it is queried (PS3.4 C.4.1, level IMAGE)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pydicom import Dataset
from pynetdicom import Association
from sqlalchemy import RowMapping

from node.sending.scu import find


def held(
    association: Association, rows: Iterable[RowMapping], asking: Callable[[Dataset], object] = lambda _query: None
) -> frozenset[str]:
    """The SOP Instance UIDs that the peer shows in the series of these objects.

    Parameters
    ----------
    rows
        With `study_instance_uid` and `series_instance_uid`: the unique keys above the level (C.4.1.2.3.1).
    asking
        Called with each query before it is sent.

    Raises
    ------
    PeerError
        It answered with a failure status, or not at all.
    """
    series = {(row["study_instance_uid"], row["series_instance_uid"]) for row in rows}
    return frozenset(uid for keys in sorted(series) for uid in _of_series(association, asking, *keys))


def _of_series(
    association: Association, asking: Callable[[Dataset], object], study_instance_uid: str, series_instance_uid: str
) -> list[str]:
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID = study_instance_uid
    query.SeriesInstanceUID = series_instance_uid
    query.SOPInstanceUID = None
    asking(query)
    return [str(match.get("SOPInstanceUID") or "") for match in find(association, query)]
