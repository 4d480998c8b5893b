"""Several methods for one photograph: what they have in common is computed once."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from colorlib import io
from colorlib.colorizer import Colorizer
from colorlib.memory import is_out_of_memory
from colorlib.models import ColorModel, Encoder
from colorlib.result import Result
from colorlib.weights import share_encoders

_SAME = 1e-6  # channels that differ by less are gray


class SideBySide:
    """Colours photographs by several methods.

    A photograph is decoded once, made small once for all methods that work at one size, and the maps of an encoder
    that several methods stand on are computed once. What comes out is what each method makes of it alone.

    Args:
        methods: names, files, repositories or modules, as :class:`colorlib.Colorizer` takes them; or colorizers.
        **settings: of every colorizer that is made here, such as ``device``.

    Attributes:
        colorizers: one for each method.

    Raises:
        ValueError: no methods; and as of :class:`colorlib.Colorizer`.
        WeightsError: as of :class:`colorlib.Colorizer`.

    Example:
        >>> from colorlib import SideBySide
        >>> from skimage import data
        >>> dahl, larsson = SideBySide(["dahl16_small", "larsson16_small"])(data.camera())
        >>> larsson.model
        'larsson16_small'
    """

    def __init__(self, methods: Sequence[str | PathLike[str] | ColorModel | Colorizer], **settings: Any):
        if not methods:
            raise ValueError("expected at least one method, got none; colorlib.list_models(ready=True) names them")
        self.colorizers = [one if isinstance(one, Colorizer) else Colorizer(one, **settings) for one in methods]
        # What the caller made is the caller's, and may have been trained on since.
        own = [one for one, given in zip(self.colorizers, methods, strict=True) if one is not given]
        share_encoders((one.model, one.weights.encoder) for one in own if one.weights)

    def __call__(self, source: io.Source | io.Photo) -> list[Result]:
        """Colour a photograph by every method, in their order.

        Args:
            source: as a :class:`colorlib.Colorizer` takes it, or what :func:`colorlib.io.read` gave.

        Raises:
            colorlib.io.ImageError: the source is not a readable picture.
        """
        limit = min(colorizer.max_pixels for colorizer in self.colorizers)
        photo = source if isinstance(source, io.Photo) else io.read(source, max_pixels=limit)
        results = {colorizer: colour() for colorizer, colour in self.steps(photo)}
        return [results[colorizer] for colorizer in self.colorizers]

    def steps(self, photo: io.Photo) -> Iterator[tuple[Colorizer, Callable[[], Result]]]:
        """The same method by method, for who wants to show each result at once, to go on where one fails, or to stop.

        Args:
            photo: what :func:`colorlib.io.read` gave.

        Yields:
            A colorizer and what gives its result, to be called before the next is asked for, in any thread. The first
            method comes first, and those that share work with it next; who runs what is shared counts its seconds.

        Example:
            >>> from colorlib import SideBySide, io
            >>> from skimage import data
            >>> steps = SideBySide(["dahl16_small", "larsson16_small"]).steps(io.read(data.camera()))
            >>> first, colour = next(steps)
            >>> first.name == colour().model
            True
        """
        for seen, gray, places in self._by_size(photo):
            for encoder, some in self._by_encoder(gray, places):
                yield from self._steps(photo, seen, encoder, some)

    def _by_size(self, photo: io.Photo) -> Iterator[tuple[Tensor, bool, list[int]]]:
        """The photograph as small as some methods see it, whether it is gray, and the places of these methods."""
        groups = defaultdict(list)
        for place, colorizer in enumerate(self.colorizers):
            groups[colorizer.seen_size(photo.height, photo.width), colorizer.device].append(place)
        for (size, device), places in groups.items():
            small = io.shrunk(photo, size)  # on the host, where it can be asked whether it is gray
            yield small.to(device), bool((small.amax(dim=1) - small.amin(dim=1)).max() < _SAME), places

    def _by_encoder(self, gray: bool, places: list[int]) -> Iterator[tuple[Encoder | None, list[int]]]:
        """Of these methods, those that stand on one encoder and show it the same; the others under None."""
        groups = defaultdict(list)
        for place in places:
            colorizer = self.colorizers[place]
            model, encoder = colorizer.model, getattr(colorizer.model, "encoder", None)
            shared = encoder if isinstance(encoder, Encoder) and not colorizer.mirror else None
            # Of a gray photograph, every paper's gray is the same.
            groups[shared, model.stride, None if gray else type(model).to_input].append(place)
        for (encoder, *_), some in groups.items():
            yield encoder if len(some) > 1 else None, some

    def _steps(
        self, photo: io.Photo, seen: Tensor, encoder: Encoder | None, places: list[int]
    ) -> Iterator[tuple[Colorizer, Callable[[], Result]]]:
        model = self.colorizers[places[0]].model

        @cache  # for all methods of the group, when the first of them is called
        def read() -> tuple[Tensor, list[Tensor]]:
            assert encoder is not None
            lightness = model.pad(model.to_input(seen))
            return lightness, encoder(lightness)

        @torch.no_grad()
        def colour(colorizer: Colorizer) -> Result:
            nonlocal encoder
            start = time.perf_counter()
            if encoder is not None:
                try:
                    # Only while the method runs: then the caller's thread may show the encoder another photograph.
                    with encoder.reading(*read()):
                        result = colorizer.result(photo, seen, smaller=False)
                    return replace(result, seconds=time.perf_counter() - start)
                except (MemoryError, RuntimeError) as error:
                    if not is_out_of_memory(error):
                        raise
                encoder = None  # its maps leave too little memory, or need more than there is
                read.cache_clear()
            return colorizer.result(photo, seen)

        for place in places:
            yield self.colorizers[place], partial(colour, self.colorizers[place])
