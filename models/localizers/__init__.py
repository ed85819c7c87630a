"""Localizers: one method a file, which registers its name; torch is imported when a package is loaded."""
