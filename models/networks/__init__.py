"""Networks: one registered name a file; the modules themselves are in `modules`."""
