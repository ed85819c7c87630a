"""Source attributes, references, codes and UIDs of results."""
