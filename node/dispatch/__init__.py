"""From the ledger to the queue: which study is complete, which is analysed next, one small message."""
