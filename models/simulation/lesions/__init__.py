"""Lesions: one kind a file, which registers the labels that it makes and the physics behind it."""
