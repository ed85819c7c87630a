"""Fitting of exclusive classes: a multinomial head on frozen features, attention over bags, what shortcuts explain."""
