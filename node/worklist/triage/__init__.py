"""The priority that findings request, and the decision on it."""
