"""Networks of others, and ours, in forms that another program reads."""
