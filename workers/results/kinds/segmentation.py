"""The regions of each source as segments."""

from pydicom.uid import SegmentationStorage

from workers.results.registry import Kind, register

register(
    Kind(
        "segmentation",
        SegmentationStorage,
        9101,
        "workers.results.seg:segmentations",
        fallback="capture",
        of_structures=True,
    )
)
