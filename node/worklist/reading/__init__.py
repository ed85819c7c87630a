"""The reading work item of a study: its Data Set and its life."""
