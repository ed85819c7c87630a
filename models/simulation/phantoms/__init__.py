"""Procedural chest phantoms: families of anatomies, rendered on any grid."""
