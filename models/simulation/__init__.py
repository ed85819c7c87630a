"""Simulated chest CT: lesions whose masks are known, in phantoms and in real anatomies, written as a labelled folder."""
