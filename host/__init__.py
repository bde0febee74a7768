"""Host driver: streams samples to a board (or to the virtual board) and reads the answers."""
