"""The priority that findings ask for, and the decision on it."""
