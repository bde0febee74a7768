"""Access to the operating system: files, child processes, the cache, progress."""
