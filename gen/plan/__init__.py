"""Which hardware a network needs: mapping, clocks, sizes, and the choice among them."""
