"""Federated averaging: sites exchange weights, counts and figures; no image, label or name leaves one."""
