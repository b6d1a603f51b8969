"""Extract a layer of an image, which may be hostile, into a directory.

    python extract_layer.py layer.tar directory

A layer can make a name a link and then write through it, or climb by ``..``. Nothing outside the
directory can be created or changed, whatever the layer holds. (Whiteouts are left out.)
"""

import sys

from procpath import RootedPath

layer, directory = sys.argv[1:]
with open(layer, "rb") as archive:
    RootedPath(directory).from_tar(archive, on_error=lambda error: print(error, file=sys.stderr))
