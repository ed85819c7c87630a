"""Networks and heads as `torch.nn.Module`; imported when a network is built."""
