"""Where the voxels of slices lie in the patient, also of a tilted gantry, and values on another grid of voxels."""
