"""Evaluation of what sees volumes: `measuring` measures packages, or any function of a volume, on a folder."""
