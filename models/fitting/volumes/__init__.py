"""How packages are fitted on labelled volumes: labels of whole volumes alone, no mask is ever seen."""
