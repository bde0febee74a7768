"""Every figure that a page quotes: ``make figures``, or ``python -m bench [NAME ...]``.

A *benchmark* has *cases*; each is measured by itself, and its result is kept in ``figures.json``
under a key of all that it depends on. A result whose key is unchanged is not measured again. The
tables of the pages are made from that file alone.
"""
