"""Simulated chest CT: lesions with known masks, in phantoms and in real anatomies, written as a labelled folder."""
