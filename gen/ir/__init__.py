"""The integer network and its file format: the semantics that all else agrees with."""
