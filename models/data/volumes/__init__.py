"""Chest CT volumes from files, and folders of labelled volumes."""
