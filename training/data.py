"""Photographs for training: folders and WebDataset tar shards, filtered, cropped and flipped as in the papers."""

import io
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning as L
import torch
import webdataset as wds
from braceexpand import braceexpand
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms import v2
from typing_extensions import override

from colorlib.color import rgb_to_lab

Sample = dict[str, Any]
SUFFIXES = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff")


class PhotoData(L.LightningDataModule):
    """Batches of ``rgb``, sRGB bytes (N, 3, size, size), and ``label``, scene class (N,), -1 where unknown.

    Args:
        train: what to train on: tar shards (``shards-{000..009}.tar``, samples ``key.jpg`` and perhaps ``key.cls``),
            folders of shards, or folders of photographs, whose first-level subfolders, sorted, are the classes.
            Drawn without end.
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
    """

    def __init__(
        self,
        train: list[str] | None = None,
        val: list[str] | None = None,
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
        self.train_paths, self.val_paths = train or [], val or []
        self.batch_size, self.workers, self.shuffle, self.labelled = batch_size, workers, shuffle, labelled
        self.min_color_std = min_color_std
        to_bytes = [v2.ToImage(), v2.ToDtype(torch.uint8)]
        turn = [v2.RandomRotation(rotation, v2.InterpolationMode.BILINEAR)] if rotation else []
        mirror = v2.RandomHorizontalFlip(flip)
        low, high = (resize, resize) if isinstance(resize, int) else resize
        scale = v2.RandomShortestSize(list(range(low, high + 1)))
        self.augment = v2.Compose([scale, *turn, v2.RandomCrop(size), mirror, *to_bytes])
        self.centre = v2.Compose([v2.Resize(size), v2.CenterCrop(size), *to_bytes])

    @override
    def train_dataloader(self) -> DataLoader[Any]:
        # A resumed run goes on with other photographs than the first one began with.
        seed = self.trainer.global_step if self.trainer else 0
        return self._loader(
            *_source(self.train_paths, "train", endless_seed=seed),
            wds.shuffle(self.shuffle, rng=random.Random(seed)),
            wds.map(self._decode, handler=wds.warn_and_continue),
            wds.select(self._colourful),
            wds.map(lambda sample: self._finish(sample, self.augment)),
        )

    @override
    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        if not self.val_paths:
            return []
        return self._loader(
            *_source(self.val_paths, "val"),
            wds.map(self._decode, handler=wds.warn_and_continue),
            wds.map(lambda sample: self._finish(sample, self.centre)),
        )

    def _loader(self, *stages: Any) -> DataLoader[Any]:
        batches = wds.DataPipeline(*stages, wds.batched(self.batch_size, collation_fn=torch.utils.data.default_collate))
        return DataLoader(batches, batch_size=None, num_workers=self.workers, persistent_workers=self.workers > 0)

    def _decode(self, sample: Sample) -> Sample:
        name = next((suffix for suffix in SUFFIXES if suffix in sample), None)
        if name is None:
            raise ValueError(f"{sample['__key__']}: expected a file of {', '.join(SUFFIXES)}, got {', '.join(sample)}")
        try:
            with Image.open(io.BytesIO(sample[name])) as image:
                photo = image.convert("RGB")
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises on damaged files
            raise ValueError(f"{sample['__key__']}: {error}") from error
        return {"image": photo, "label": int(sample["cls"]) if self.labelled and "cls" in sample else -1}

    def _colourful(self, sample: Sample) -> bool:
        return color_std(sample["image"]) >= self.min_color_std

    def _finish(self, sample: Sample, transform: Callable[[Image.Image], Tensor]) -> dict[str, Tensor]:
        return {"rgb": transform(sample["image"]), "label": torch.tensor(sample["label"])}


def color_std(image: Image.Image) -> float:
    """Standard deviation of a photograph's (a, b) over its pixels, the length of the two channels' deviations.

    For the filter of Iizuka et al. 2016 (section 4), who removed "grayscale images and those that have little color
    variance", 5 % of Places, and printed no threshold. Of 16 old black-and-white prints, some faintly toned, 14 lie
    below 3, of 1000 colour photographs of Mini Places 5; a strong sepia passes.
    """
    # The deviation of 32 x 32 averages is the scene's colour, not the sensor's noise.
    pixels = v2.functional.to_image(image.convert("RGB").resize((32, 32), Image.Resampling.BOX)).float() / 255
    return float(rgb_to_lab(pixels)[1:].flatten(1).var(dim=1, correction=0).sum().sqrt())


def _source(paths: list[str], what: str, endless_seed: int | None = None) -> list[Any]:
    """Pipeline stages that yield undecoded samples, endless if there is a seed."""
    if not paths:
        raise ValueError(f"no photographs to {what} on: pass --data.{what} with shards or folders")
    shards, photos = _expand(paths)
    if shards and photos:
        raise ValueError(f"data.{what} mixes tar shards and folders of photographs: pack the folders into shards")
    if photos:
        return [_Photos(photos, endless_seed), wds.split_by_node, wds.split_by_worker, wds.map(_read_photo)]
    if endless_seed is None:
        return [wds.SimpleShardList(shards), wds.split_by_node, wds.split_by_worker, wds.tarfile_to_samples()]
    return [wds.ResampledShards(shards, seed=endless_seed, deterministic=True), wds.tarfile_to_samples()]


def _expand(paths: list[str]) -> tuple[list[str], list[Sample]]:
    """Shards, and photographs as samples without their bytes."""
    shards: list[str] = []
    photos: list[Sample] = []
    for path in (Path(one) for pattern in paths for one in braceexpand(pattern)):
        if path.is_file():
            shards.append(str(path))
        elif path.is_dir():
            tars = [str(tar) for tar in sorted(path.glob("*.tar"))]
            shards += tars
            photos += [] if tars else _folder(path)
        else:
            raise FileNotFoundError(f"{path} is neither a tar shard nor a folder")
    return shards, photos


def _folder(root: Path) -> list[Sample]:
    classes = {folder.name: index for index, folder in enumerate(sorted(p for p in root.iterdir() if p.is_dir()))}
    photos = []
    for path in sorted(p for p in root.rglob("*") if p.suffix[1:].lower() in SUFFIXES):
        below = path.relative_to(root).parts
        label = {"cls": str(classes[below[0]])} if len(below) > 1 else {}
        photos.append({"__key__": str(path), "path": path, **label})
    if not photos:
        raise FileNotFoundError(f"{root} holds neither tar shards nor photographs ({', '.join(SUFFIXES)})")
    return photos


class _Photos(torch.utils.data.IterableDataset[Sample]):
    """Photographs of a folder: once in order, or over and over, shuffled anew each time."""

    def __init__(self, photos: list[Sample], endless_seed: int | None):
        self.photos, self.endless_seed = photos, endless_seed

    def __iter__(self) -> Iterator[Sample]:
        if self.endless_seed is None:
            yield from self.photos
            return
        rng = random.Random(self.endless_seed)
        while True:
            yield from rng.sample(self.photos, len(self.photos))


def _read_photo(sample: Sample) -> Sample:
    path: Path = sample["path"]
    return {**sample, path.suffix[1:].lower(): path.read_bytes()}
