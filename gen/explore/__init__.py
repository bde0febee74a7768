"""Sweeps over boards, intervals and networks."""
