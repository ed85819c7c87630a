"""Figures of packages of exclusive classes: confusion matrix, balanced accuracy, one-vs-rest areas, by group."""
