"""The reading worklist: Unified Procedure Steps, the priority that findings request, and where it is sent."""
