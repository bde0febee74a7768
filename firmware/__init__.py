"""What the device boots: the memory image."""
