"""Any viewer that shows images."""

from workers.delivery.profiles import Profile, register

register(
    "basic",
    Profile(
        ("capture",),
        "Shows images and nothing else: the picture and legend of the capture are the whole result.",
    ),
)
