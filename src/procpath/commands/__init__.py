"""The commands of ``procpath``, one module each, and what they share.

A command is a module with ``add_arguments(parser)`` and ``run(args, session)``. It prints
through its :class:`~procpath.commands.session.Session`, and never exits.
"""
