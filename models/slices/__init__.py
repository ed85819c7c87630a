"""Axial slices of a chest CT as images of a slice network: the window, and the frame around the body."""
