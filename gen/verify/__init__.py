"""Gateware, netlists and bitstreams in simulation, against the integer network."""
