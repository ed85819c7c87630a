"""How packages are fitted on labelled images; a localizer's `fit` calls one of these methods."""
