"""`python -m node` is the command `readfirst`."""

from node.cli import main

main()
