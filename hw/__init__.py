"""Gateware: an array of integrate-and-fire cores that only accumulate, in Amaranth HDL."""
