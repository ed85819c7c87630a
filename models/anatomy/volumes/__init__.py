"""Chests in volumes: where the lungs are, the part that networks see, and the way back to the whole volume."""
