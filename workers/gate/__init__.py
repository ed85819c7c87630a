"""What is checked of each object before it may leave."""
