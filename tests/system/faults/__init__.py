"""What may go wrong around a running node, and the counting afterwards: nothing lost, nothing twice, nothing torn.

`python -m tests.system.faults` prints the table; tests/system/test_faults.py holds each row in the ordinary suite.
"""
