"""Stored pixel values of untrusted files: decoded in a child process without rights, within limits."""
