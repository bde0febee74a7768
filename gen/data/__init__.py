"""Data sets as raw images and labels, and arrays in files."""
