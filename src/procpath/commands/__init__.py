"""The commands of ``procpath``: a module each, and what they share.

A command is a module with a ``SUMMARY``, an ``add_arguments()`` and a ``run()``; it never
prints or exits by itself, but through its :class:`procpath.commands.session.Session`.
"""
