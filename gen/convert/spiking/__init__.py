"""Networks that spike already: NIR files, and modules of snnTorch, SpikingJelly and Sinabs."""
