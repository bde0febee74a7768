"""What can go wrong. Every message is one line; the command line prints it and exits with 1."""

__all__ = ["HostError", "LinkError"]


class HostError(Exception):
    """Base of every error that is not the program's fault."""


class LinkError(HostError):
    """The line gives no answers, or was cut."""
