"""What a device boots, the memory image; and what a microcontroller drives one with, in C."""
