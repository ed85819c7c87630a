"""From received instances to what a model takes: choice, decoding, pixels, volume."""
