"""What decoders need. The process that they are forks of has loaded it, so that none of them has to."""

import gc

from PIL import Image

import colorlib.clips
import colorlib.io  # noqa: F401

Image.init()  # the modules of all formats, which else each decoder would load with its file
gc.freeze()  # what is here stays: looking through it again would copy its pages into each decoder
