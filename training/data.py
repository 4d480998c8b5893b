"""Photographs for training: folders and WebDataset tar shards, filtered, cropped and flipped as in the papers.

What a run sees depends on its seed alone, and so it goes on after a stop as if there had been none. Photographs come in
rounds, each in an order of its own and shared out among the loaders of all processes; every photograph's augmentation
has a seed of its own. A checkpoint says how far each loader is in which round; a resumed one passes over that much of
this round without decoding it.
"""

import io
import random
import re
import tarfile
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import lightning as L
import torch
import webdataset as wds
from braceexpand import braceexpand
from PIL import Image
from torch.utils.data import DataLoader, get_worker_info
from torchvision.transforms import v2
from typing_extensions import override

from colorlib.color import rgb_to_lab
from training import download

Sample = dict[str, Any]
SUFFIXES = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff")
SHARDS_AT_ONCE = 8  # that a loader reads in turn
download.register()


class PhotoData(L.LightningDataModule):
    """Batches of ``rgb``, sRGB bytes (N, 3, size, size), and ``label``, scene class (N,), -1 where unknown.

    Every photograph is seen by one loader of one process; in training, once a round. Shards are shared out where there
    are enough of them, else their photographs, and then every loader reads all of them.

    Args:
        train: what to train on: tar shards (``shards-{000..009}.tar``, samples ``key.jpg`` and perhaps ``key.cls``),
            local or ``http://``, folders of shards, or folders of photographs, whose first-level subfolders, sorted,
            are the classes. Drawn without end.
        val: what to validate on, likewise; every photograph once.
        size: side of the crops.
        resize: short side to which photographs are scaled before a random crop, or two between which it is drawn for
            each photograph; validation scales to ``size``.
        batch_size: photographs a step and process.
        workers: loader processes.
        min_color_std: photographs of lower :func:`color_std` are left out of training.
        shuffle: photographs at hand to draw from while streaming.
        labelled: whether ``.cls`` files and subfolders are classes of this task.
        flip: share of the training photographs that are mirrored.
        rotation: training photographs are turned by up to so many degrees; corners that come from outside are black.

    Attributes:
        seed: of the order and the augmentation: torch's own when the module was made.
        batches: how many this process has trained on; the loaders' come in turn.
        positions: of each loader, the round and how many photographs of that it has had.
    """

    def __init__(
        self,
        train: list[str] | str | None = None,
        val: list[str] | str | None = None,
        size: int = 224,
        resize: int | tuple[int, int] = 256,
        batch_size: int = 128,
        workers: int = 2,
        min_color_std: float = 3.0,
        shuffle: int = 10_000,
        labelled: bool = True,
        flip: float = 0.5,
        rotation: float = 0.0,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.train_paths, self.val_paths = _listed(train), _listed(val)
        self.batch_size, self.workers, self.shuffle, self.labelled = batch_size, workers, shuffle, labelled
        self.min_color_std = min_color_std
        self.seed = [torch.initial_seed()]
        self.batches = 0
        self.positions = [(0, 0)] * max(workers, 1)
        to_bytes = [v2.ToImage(), v2.ToDtype(torch.uint8)]
        turn = [v2.RandomRotation(rotation, v2.InterpolationMode.BILINEAR)] if rotation else []
        mirror = v2.RandomHorizontalFlip(flip)
        low, high = (resize, resize) if isinstance(resize, int) else resize
        if not size <= low <= high:
            raise ValueError(f"expected size <= resize, low before high, got size={size} and resize={resize}")
        self.augment = v2.Compose([ShortSide(low, high), *turn, v2.RandomCrop(size), mirror, *to_bytes])
        self.centre = v2.Compose([v2.Resize(size), v2.CenterCrop(size), *to_bytes])

    @override
    def train_dataloader(self) -> DataLoader[Any]:
        # Its processes end with an epoch, if there are epochs: the next ones begin where the run then is.
        return self._loader(partial(self._draw, _find(self.train_paths, "train")), persistent=False)

    @override
    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        if not self.val_paths:
            return []
        return self._loader(partial(self._once, _find(self.val_paths, "val")), persistent=self.workers > 0)

    @override
    def on_before_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        # Here a step begins; what loaders have ready beyond it would be lost with the run.
        if (position := batch.pop("position", None)) is not None:
            number, done = position[-1].tolist()
            self.positions[self.batches % len(self.positions)] = (number, done)
            self.batches += 1
        return batch

    @override
    def state_dict(self) -> dict[str, Any]:
        strategy = self.trainer.strategy  # type: ignore[union-attr]
        positions = strategy.all_gather(torch.tensor(self.positions, device=strategy.root_device))
        return {
            "seed": self.seed,
            "batches": self.batches,
            "positions": positions.view(-1, *positions.shape[-2:]).cpu(),
        }

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seed, self.batches, positions = (state_dict[key] for key in ("seed", "batches", "positions"))
        rank, processes = self._process()
        if positions.shape[:2] == (processes, len(self.positions)):
            self.positions = [(number, done) for number, done in positions[rank].tolist()]
            return
        self.seed = [*self.seed, self.batches]  # not the photographs that the run began with
        warnings.warn(
            f"the checkpoint is of {positions.shape[0]} processes with {positions.shape[1]} loaders, this run of "
            f"{processes} with {len(self.positions)}: photographs come in a new order. For an exact continuation, "
            "resume with as many",
            stacklevel=2,
        )

    def _loader(self, source: partial[Iterator[Sample]], persistent: bool) -> DataLoader[Any]:
        batches = wds.batched(self.batch_size, collation_fn=torch.utils.data.default_collate)
        pipeline = wds.DataPipeline(source, batches)
        return DataLoader(pipeline, batch_size=None, num_workers=self.workers, persistent_workers=persistent)

    def _process(self) -> tuple[int, int]:
        """Which process this is, and of how many."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _share(self, first: int = 0) -> tuple[int, "_Share"]:
        """Which loader of this process this is if loader `first` is due now, and its share of the photographs."""
        rank, processes = self._process()
        info = get_worker_info()
        loader = (first + (info.id if info else 0)) % len(self.positions)
        return loader, _Share(loader * processes + rank, processes * len(self.positions))

    def _once(self, source: "_Source") -> Iterator[Sample]:
        """This loader's photographs for validation."""
        _, share = self._share()
        for sample in wds.map(self._decode, handler=wds.warn_and_continue)(source.samples(share)):
            yield {"rgb": self.centre(sample["image"]), "label": sample["label"]}

    def _draw(self, source: "_Source") -> Iterator[Sample]:
        """This loader's photographs for training, round after round, from where the run is."""
        loader, share = self._share(self.batches)
        now, done = self.positions[loader]
        for number in count(now):
            yield from self._round(source, share, number, done if number == now else 0)

    def _round(self, source: "_Source", share: "_Share", number: int, done: int) -> Iterator[Sample]:
        order = random.Random(mixed_seed(*self.seed, number))  # the same for all who share
        samples = source.samples(share, order)
        own_order = random.Random(mixed_seed(*self.seed, number, share.place))
        samples = wds.shuffle(self.shuffle, rng=own_order)(samples)
        numbered = ({**one, "position": (number, index)} for index, one in enumerate(samples, 1))
        decoded = wds.map(self._decode, handler=wds.warn_and_continue)(islice(numbered, done, None))
        sample = None
        for sample in wds.select(self._colourful)(decoded):
            yield self._augmented(sample, share)
        if sample is None and not done:
            raise ValueError(
                f"loader {share.place + 1} of {share.places} found no photograph in colour in a whole round: pass more "
                "of them with --data.train, fewer --data.workers, or a lower --data.min_color_std"
            )

    def _decode(self, sample: Sample) -> Sample:
        if "path" in sample:
            sample = _read_photo(sample)
        name = next((suffix for suffix in SUFFIXES if suffix in sample), None)
        if name is None:
            raise ValueError(f"{sample['__key__']}: expected a file of {', '.join(SUFFIXES)}, got {', '.join(sample)}")
        try:
            with Image.open(io.BytesIO(sample[name])) as image:
                photo = image.convert("RGB")
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises on damaged files
            raise ValueError(f"{sample['__key__']}: {error}") from error
        label = torch.tensor(int(sample["cls"]) if self.labelled and "cls" in sample else -1)
        return {"image": photo, "label": label, "position": sample.get("position")}

    def _colourful(self, sample: Sample) -> bool:
        return color_std(sample["image"]) >= self.min_color_std

    def _augmented(self, sample: Sample, share: "_Share") -> Sample:
        with torch.random.fork_rng(devices=[]):  # there may be no loader process around it
            torch.default_generator.manual_seed(mixed_seed(*self.seed, share.place, *sample["position"]))
            rgb = self.augment(sample["image"])
        return {"rgb": rgb, "label": sample["label"], "position": torch.tensor(sample["position"])}


class ShortSide(torch.nn.Module):
    """Scales a PIL image so that its short side is drawn from ``low`` to ``high`` pixels, both included.

    The short side is exact. torchvision's `RandomShortestSize` truncates, so that a short side of 103 asked for 128
    becomes 127, and a crop of 128 fails.
    """

    def __init__(self, low: int, high: int):
        super().__init__()
        self.low, self.high = low, high

    @override
    def forward(self, image: Image.Image) -> Image.Image:
        side = self.low + int(torch.randint(self.high - self.low + 1, ()))
        scale = side / min(image.size)
        width, height = (max(side, round(length * scale)) for length in image.size)
        resized: Image.Image = v2.functional.resize(image, [height, width], antialias=True)
        return resized


def mixed_seed(*numbers: int) -> int:
    """One seed for several numbers; those of neighbours have nothing in common."""
    return random.Random(str(numbers)).getrandbits(63)


def color_std(image: Image.Image) -> float:
    """Standard deviation of a photograph's (a, b) over its pixels, the length of the two channels' deviations.

    For the filter of Iizuka et al. 2016 (section 4), who removed "grayscale images and those that have little color
    variance", 5 % of Places, and printed no threshold. Of 16 old black-and-white prints, some faintly toned, 14 lie
    below 3, of 1000 colour photographs of Mini Places 5; a strong sepia passes.
    """
    # The deviation of 32 x 32 averages is the scene's colour, not the sensor's noise.
    pixels = v2.functional.to_image(image.convert("RGB").resize((32, 32), Image.Resampling.BOX)).float() / 255
    return float(rgb_to_lab(pixels)[1:].flatten(1).var(dim=1, correction=0).sum().sqrt())


@dataclass(frozen=True)
class _Share:
    """Of a stream shared out among so many places: every so manieth item, from one's own place on."""

    place: int
    places: int

    def of(self, items: Iterable[Any]) -> Iterator[Any]:
        return islice(items, self.place, None, self.places)


@dataclass(frozen=True)
class _Source:
    """Tar shards, or photographs as samples without their bytes."""

    shards: list[str]
    photos: list[Sample]

    def samples(self, share: _Share, order: random.Random | None = None) -> Iterator[Sample]:
        """Undecoded samples, of shards or photographs in the order given or in a random one."""
        units: list[Any] = self.shards or self.photos
        if order:
            units = order.sample(units, len(units))
        if not self.shards:
            return share.of(units)
        read = _read_shards if order is None else _read_mixed
        return read(share.of(units)) if len(units) >= share.places else share.of(read(units))


def _listed(paths: list[str] | str | None) -> list[str]:
    """``"[a-{000..009}.tar, b.tar]"`` too, which is no YAML: there braces stand for something else."""
    if isinstance(paths, str):
        return [path.strip() for path in re.split(r",(?![^{}]*\})", paths.strip().removeprefix("[").removesuffix("]"))]
    return paths or []


def _find(paths: list[str], what: str) -> _Source:
    if not paths:
        raise ValueError(f"no photographs to {what} on: pass --data.{what} with shards or folders")
    shards: list[str] = []
    photos: list[Sample] = []
    for path in (one for pattern in paths for one in braceexpand(pattern)):
        if urlparse(path).scheme in wds.gopen_schemes or Path(path).is_file():
            shards.append(path)
        elif Path(path).is_dir():
            tars = [str(tar) for tar in sorted(Path(path).glob("*.tar"))]
            shards += tars
            photos += [] if tars else _folder(Path(path))
        else:
            raise FileNotFoundError(f"{path} is neither a tar shard nor a folder")
    if shards and photos:
        raise ValueError(
            f"data.{what} mixes tar shards and folders of photographs: pack the folders, python -m training shards"
        )
    return _Source(shards, photos)


def find_photos(root: Path) -> list[tuple[Path, str | None]]:
    """The photographs below a folder, sorted, and the first-level subfolders they are in.

    Raises:
        FileNotFoundError: there are none.
    """
    paths = sorted(path for path in root.rglob("*") if path.suffix[1:].lower() in SUFFIXES)
    if not paths:
        raise FileNotFoundError(f"{root} holds neither tar shards nor photographs ({', '.join(SUFFIXES)})")
    below = [path.relative_to(root).parts for path in paths]
    return [(path, parts[0] if len(parts) > 1 else None) for path, parts in zip(paths, below, strict=True)]


def classes_of(root: Path) -> list[str]:
    """The first-level subfolders, sorted."""
    return sorted(path.name for path in root.iterdir() if path.is_dir())


def _folder(root: Path) -> list[Sample]:
    photos, classes = find_photos(root), classes_of(root)
    labels = [{"cls": str(classes.index(name))} if name else {} for _, name in photos]
    return [{"__key__": str(path), "path": path, **label} for (path, _), label in zip(photos, labels, strict=True)]


def _read_photo(sample: Sample) -> Sample:
    path: Path = sample["path"]
    return {**sample, path.suffix[1:].lower(): path.read_bytes()}


def _read_shards(shards: Iterable[str]) -> Iterator[Sample]:
    for shard in shards:
        try:
            yield from wds.tarfile_to_samples()([{"url": shard}])
        except (OSError, tarfile.TarError) as error:
            # webdataset adds to the first word, which is the reason, what it was reading.
            reason, _, _ = str(getattr(error, "strerror", None) or error.args[0]).partition(" @ <")
            raise OSError(reason if shard in reason else f"{shard}: {reason}; is it a whole tar archive?") from error


def _read_mixed(shards: Iterable[str]) -> Iterator[Sample]:
    """Samples of several shards in turn, so that kinds of photographs packed apart come together."""
    waiting = iter(shards)
    reading = deque(_read_shards([shard]) for shard in islice(waiting, SHARDS_AT_ONCE))
    while reading:
        stream = reading.popleft()
        sample = next(stream, None)
        if sample is not None:
            yield sample
            reading.append(stream)
        elif (shard := next(waiting, None)) is not None:
            reading.append(_read_shards([shard]))
