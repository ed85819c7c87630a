"""What is fitted on chest CT volumes with masks: the lungs, and what tells nodules from all that looks like them."""
