"""Commands on findings of chest CT and the labels of reports."""
