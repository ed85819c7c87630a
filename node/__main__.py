"""`python -m node` is the command `readfirst`."""

from node.entry import main

main()
