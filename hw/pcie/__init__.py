"""A PCI Express endpoint on transaction layer packets, in front of a device."""
