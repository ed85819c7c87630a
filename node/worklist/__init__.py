"""The reading worklist: Unified Procedure Steps, the priority that findings ask for, and where it is sent."""
