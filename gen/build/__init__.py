"""From a plan to a directory that holds all a board needs."""
