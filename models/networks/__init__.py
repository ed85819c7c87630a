"""Networks: backbones and what their taps are averaged to."""
