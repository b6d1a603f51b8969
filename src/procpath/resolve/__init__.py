"""An in-root path -> a descriptor.

:mod:`.walk` defines the answers, component by component; :mod:`.kernel` gives the same ones
by openat2(2); :mod:`.lenient` names places that need not exist; :mod:`.trace` shows the way.
Each keeps to :mod:`.interface`. Uses :mod:`procpath.proc` to reopen what it holds.
"""
