"""Networks that draw normal images again: what they fail at is the map."""
