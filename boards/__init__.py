"""Development boards as data, on top of amaranth-boards."""
