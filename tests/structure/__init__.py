"""The structure of the source in figures: `python -m tests.structure` measures this tree, or others (`--tree`)."""
