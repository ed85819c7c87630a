"""The raw saliency of a volume's findings."""

from pydicom.uid import ParametricMapStorage

from workers.results.registry import Kind, register

register(Kind("saliency-map", ParametricMapStorage, 9107, "workers.results.pm:saliency_maps", of_saliency=True))
