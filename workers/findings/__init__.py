"""From predictions to findings: regions, location, wording."""
