"""OHIF, tried: 3.13.2 on Orthanc 1.10.1."""

from workers.delivery.profiles import Profile, register

register(
    "ohif",
    Profile(
        ("segmentation", "regions", "statement"),
        "Draws the Segmentation and the outlines with their probabilities, opens the statement as text. Lists key "
        "objects and presentation states with a warning and draws nothing of them.",
    ),
)
