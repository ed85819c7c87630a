"""Networks of volumes of a user's own: a grid of voxels of one spacing, seen whole or window by window."""

from models.localizers.voxels import grad_cam, masks, occlusion

__all__ = ["grad_cam", "masks", "occlusion"]
