"""What touches the operating system: files, children, the cache, progress."""
