"""Figures of predictions against the truth: ranking, decisions, calibration, boxes, masks. NumPy alone."""
