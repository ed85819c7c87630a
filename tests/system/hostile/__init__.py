"""What devices, order systems and hostile peers send, beside one healthy sender and one healthy receiver."""
