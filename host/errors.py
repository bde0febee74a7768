"""What can go wrong. Every message is one line; the command line prints it and exits with 1."""

__all__ = ["Busy", "HostError", "LinkError", "Lost", "Refused", "Rejected"]


class HostError(Exception):
    """Base of every error that is not the program's fault."""


class LinkError(HostError):
    """The line gives no answers, or was cut."""


class Refused(HostError):
    """The device has refused a request."""


class Lost(Refused):
    """The device was taken over or reset, so it has no results for this host."""


class Busy(HostError):
    """Too many wait for the device."""


class Rejected(HostError):
    """What somebody wants of the device is out of range."""
