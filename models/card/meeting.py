"""Rules that no study can meet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

VOLUMES = ("CT", "MR")  # modalities whose slices are read as volumes


def never_met(
    kind: str, modalities: Sequence[str], body_parts: Sequence[str], slice_thickness: tuple[float, float] | None
) -> Iterator[str]:
    """What no instance can have, as clauses."""
    odd = [one for one in (*modalities, *body_parts) if one != one.upper().strip() or not one]
    if odd:
        yield f"{', '.join(map(repr, odd))} is not written as DICOM writes it, in capital letters"
    others = [one for one in modalities if one not in VOLUMES]
    if kind == "volume" and others:
        yield f"{' and '.join(others)} has no volumes that are read, {' and '.join(VOLUMES)} have"
    if slice_thickness and slice_thickness[0] > slice_thickness[1]:
        yield f"slices of {slice_thickness[0]:g} mm or more, and of {slice_thickness[1]:g} mm or less"
