"""Commands that train a backbone."""
