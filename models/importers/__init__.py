"""Packages of networks that others trained."""
