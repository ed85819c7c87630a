"""Networks of whole volumes: a slice encoder with linear scores, attention over slices or cells, a small 3D CNN."""
