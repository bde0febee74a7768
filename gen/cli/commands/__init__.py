"""The commands of ``python -m gen``, a module each: ``add`` declares one."""
