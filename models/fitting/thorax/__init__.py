"""A network of the thorax: a linear head on zones of aligned crops, fitted to soft targets by ridge regression."""
