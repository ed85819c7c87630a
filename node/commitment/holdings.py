"""Which instances a peer shows when it is queried (PS3.4 C.4.1, level IMAGE)."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom import Dataset
from pynetdicom import Association
from sqlalchemy import RowMapping

from node.scu import find


def held(association: Association, rows: Iterable[RowMapping]) -> frozenset[str]:
    """The SOP Instance UIDs that the peer shows in the series of these objects.

    Parameters
    ----------
    rows
        With `study_instance_uid` and `series_instance_uid`: the unique keys above the level (C.4.1.2.3.1).

    Raises
    ------
    PeerError
        It answered with a failure status, or not at all.
    """
    series = {(row["study_instance_uid"], row["series_instance_uid"]) for row in rows}
    return frozenset(uid for keys in sorted(series) for uid in _of_series(association, *keys))


def _of_series(association: Association, study_instance_uid: str, series_instance_uid: str) -> list[str]:
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID = study_instance_uid
    query.SeriesInstanceUID = series_instance_uid
    query.SOPInstanceUID = None
    return [str(match.get("SOPInstanceUID") or "") for match in find(association, query)]
