"""Anatomy of a chest CT: the lungs of a volume, their zones, and the measures of what lies in them."""
