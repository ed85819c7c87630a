"""Free-text chest reports to the labels that training reads, by a table of rules (rules.toml)."""
