"""TLS of associations (PS3.15 B.12) and the certificates that it shows."""
