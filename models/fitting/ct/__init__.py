"""What is fitted on chest CT volumes with masks: the lungs, and nodules against all that looks like them."""
