"""MONAI Bundles as packages: configuration read as data, transforms translated, networks built by name."""
