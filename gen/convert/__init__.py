"""From a PyTorch module to a network in integers."""
