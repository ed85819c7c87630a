"""C-ECHO, C-STORE and C-FIND as SCU."""
