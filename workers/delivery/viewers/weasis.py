"""Weasis, by its documentation."""

from workers.delivery.profiles import Profile, register

register(
    "weasis",
    Profile(
        ("segmentation", "statement", "key-objects"),
        "Draws the Segmentation, prints Structured Reports as text, filters by key objects; draws no outline of a "
        "Structured Report, so the regions document is left out.",
    ),
)
