"""Outlines for workstations that draw nothing else."""

from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from workers.results.registry import Kind, register

register(
    Kind(
        "presentation-state",
        GrayscaleSoftcopyPresentationStateStorage,
        9106,
        "workers.results.pr:presentation_states",
        fallback="capture",
    )
)
