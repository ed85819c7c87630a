"""From the ledger to the queue: which study is complete, whose turn it is, one small message."""
