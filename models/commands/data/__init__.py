"""Commands that make data for training."""
