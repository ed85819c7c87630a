"""Packages of chest CT made from folders of volumes with masks: fitted, measured, written with their cards."""
