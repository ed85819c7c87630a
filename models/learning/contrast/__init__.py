"""Pretraining without labels: views of one image are to be found among those of others."""
