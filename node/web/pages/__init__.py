"""The pages: worklist, study, status."""
