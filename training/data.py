"""Photographs for training: folders and WebDataset tar shards, filtered, cropped and flipped as in the papers.

What a run sees depends on its seed alone, and so it goes on after a stop as if there had been none. Photographs come in
rounds, each in an order of its own and shared out among the loaders of all processes; every photograph's augmentation
has a seed of its own. A checkpoint says how far each loader is in which round; a resumed one passes over that much of
this round without decoding it.
"""

import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import webdataset as wds
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from torchvision.transforms import v2
from typing_extensions import override

from colorlib import io
from colorlib.color import rgb_to_lab
from colorlib.memory import is_out_of_memory
from training.sources import Sample, Share, Source, find, listed
from training.tally import Account, Tally

MAX_ENLARGED = 4  # times; what is smaller than that part of the crop has too few pixels to learn from
MAX_ASPECT = 8  # long side by short side; scaled to the size of the crop, a hair's breadth would be a gigabyte

UNREADABLE = "left out, cannot be read"
SMALL = f"left out, shorter side less than 1/{MAX_ENLARGED} of the crop"
NARROW = f"left out, more than {MAX_ASPECT} times as long as wide"
COLOURLESS = "left out, without colour (see --data.min_color_std)"
REPEATED = "left out, another file of the shard has this name"
ENLARGED = "enlarged to the crop"
UNLABELLED = "taken without a class, since the shard's is no number"
REMARKED = "taken with a warning"


class PhotoData(L.LightningDataModule):
    """Batches of ``rgb``, sRGB bytes (N, 3, size, size), and ``label``, scene class (N,), -1 where unknown.

    Every photograph is seen by one loader of one process; in training, once a round. Shards are shared out where there
    are enough of them, else their photographs, and then every loader reads all of them.

    Photographs are read by :func:`colorlib.io.read`: upright, in sRGB. None of them can end a run: those that cannot be
    read or are far too small are left out, and the log says how many and why. A folder or shard of which none can be
    read is an error.

    Args:
        train: what to train on: tar shards (``shards-{000..009}.tar``, samples ``key.jpg`` and perhaps ``key.cls``),
            local or ``http://``, folders of shards, or folders of photographs, whose first-level subfolders with
            photographs in them, sorted, are the classes. What is hidden is no photograph. Drawn without end.
        val: what to validate on, likewise; every photograph once. Classes of folders have the numbers that they have in
            training.
        size: side of the crops. Photographs whose shorter side is less are enlarged to it, up to four times.
        resize: short side to which photographs are scaled before a random crop, or two between which it is drawn for
            each photograph; validation scales to ``size``.
        batch_size: photographs a step and process.
        workers: loader processes.
        min_color_std: photographs of lower :func:`color_std` are left out of training.
        shuffle: photographs at hand to draw from while streaming.
        labelled: whether ``.cls`` files and subfolders are classes of this task.
        flip: share of the training photographs that are mirrored.
        rotation: training photographs are turned by up to so many degrees; corners that come from outside are black.
        max_pixels: larger photographs are left out, before they are decoded.

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
        max_pixels: int = 100_000_000,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.train_paths, self.val_paths = listed(train), listed(val)
        self.batch_size, self.workers, self.shuffle, self.labelled = batch_size, workers, shuffle, labelled
        self.size, self.min_color_std, self.max_pixels = size, min_color_std, max_pixels
        self.accounts = {name: Account(f"data.{name}") for name in ("train", "val")}
        self.seed = [torch.initial_seed()]
        self.batches = 0
        self.positions = [(0, 0)] * max(workers, 1)
        turn = [v2.RandomRotation(rotation, v2.InterpolationMode.BILINEAR)] if rotation else []
        mirror = v2.RandomHorizontalFlip(flip)
        low, high = (resize, resize) if isinstance(resize, int) else resize
        if not size <= low <= high:
            raise ValueError(f"expected size <= resize, low before high, got size={size} and resize={resize}")
        self.augment = v2.Compose([ShortSide(low, high), *turn, v2.RandomCrop(size), mirror])
        self.centre = v2.Compose([v2.Resize(size), v2.CenterCrop(size)])

    @override
    def train_dataloader(self) -> DataLoader[Any]:
        # Its processes end with an epoch, if there are epochs: the next ones begin where the run then is.
        batches = partial(self._training_batches, find(self.train_paths, "train"))
        return DataLoader(_Stream(batches), batch_size=None, num_workers=self.workers)

    @override
    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        if not self.val_paths:
            return []
        batches = partial(self._validation_batches, find(self.val_paths, "val", like=self.train_paths))
        return _ValidationLoader(_Stream(batches), self._account("val"), self.workers)

    @override
    def on_before_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        # Here a step begins; what loaders have ready beyond it would be lost with the run.
        if (position := batch.pop("position", None)) is not None:
            number, done = position[-1].tolist()
            self.positions[self.batches % len(self.positions)] = (number, done)
            self.batches += 1
            account = self._account("train")
            account.add(batch.pop("report"))
            account.close(before=min(number for number, _ in self.positions))
        return batch

    @override
    def teardown(self, stage: str) -> None:
        for account in self.accounts.values():
            account.close_all()

    @override
    def on_exception(self, exception: BaseException) -> None:
        """Where there is too little memory for a step, say which options need half of it."""
        if is_out_of_memory(exception) and self.batch_size > 1 and self.trainer is not None:
            more = 2 * self.trainer.accumulate_grad_batches
            options = f"--data.batch_size {self.batch_size // 2} --trainer.accumulate_grad_batches {more}"
            little = f"Too little memory for {self.batch_size} photographs at once"
            warnings.warn(f"{little}. About as many a step, in parts: {options}", stacklevel=2)
        self.teardown("")

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

    def _account(self, name: str) -> Account:
        rank, processes = self._process()
        self.accounts[name].title = f"data.{name}" + (f" of process {rank + 1} of {processes}" if processes > 1 else "")
        return self.accounts[name]

    def _process(self) -> tuple[int, int]:
        """Which process this is, and of how many."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _share(self, first: int = 0) -> tuple[int, Share]:
        """Which loader of this process this is if loader `first` is due now, and its share of the photographs."""
        rank, processes = self._process()
        info = get_worker_info()
        loader = (first + (info.id if info else 0)) % len(self.positions)
        return loader, Share(loader * processes + rank, processes * len(self.positions))

    def _training_batches(self, source: Source) -> Iterator[dict[str, Any]]:
        report: dict[int, Tally] = {}
        yield from self._batched(self._draw(source, report), report)

    def _validation_batches(self, source: Source) -> Iterator[dict[str, Any]]:
        report: dict[int, Tally] = {}
        yield from self._batched(self._once(source, report), report)
        yield {"report": report}  # of those that came after the last batch

    def _batched(self, samples: Iterator[dict[str, Any]], report: dict[int, Tally]) -> Iterator[dict[str, Any]]:
        """Batches, each with the report of the photographs met since the one before."""
        while batch := list(islice(samples, self.batch_size)):
            yield {**torch.utils.data.default_collate(batch), "report": report.copy()}
            report.clear()

    def _once(self, source: Source, report: dict[int, Tally]) -> Iterator[dict[str, Any]]:
        """This loader's photographs for validation."""
        _, share = self._share()
        for _, photo in self._decoded(enumerate(source.samples(share), 1), source, 0, report):
            yield {"rgb": _bytes(self.centre(photo.image)), "label": photo.label}

    def _draw(self, source: Source, report: dict[int, Tally]) -> Iterator[dict[str, Any]]:
        """This loader's photographs for training, round after round, from where the run is."""
        loader, share = self._share(self.batches)
        now, done = self.positions[loader]
        for number in count(now):
            yield from self._round(source, share, number, done if number == now else 0, report)

    def _round(
        self, source: Source, share: Share, number: int, done: int, report: dict[int, Tally]
    ) -> Iterator[dict[str, Any]]:
        order = random.Random(mixed_seed(*self.seed, number))  # the same for all who share
        samples = source.samples(share, order)
        own_order = random.Random(mixed_seed(*self.seed, number, share.place))
        samples = wds.shuffle(self.shuffle, rng=own_order)(samples)
        waiting = islice(enumerate(samples, 1), done, None)
        found = False
        for index, photo in self._decoded(waiting, source, number, report):
            if color_std(photo.image) < self.min_color_std:
                _tally(report, number).note(COLOURLESS, photo.name)
                continue
            found = True
            position = (number, index)
            rgb = self._augmented(photo.image, mixed_seed(*self.seed, share.place, *position))
            yield {"rgb": rgb, "label": photo.label, "position": torch.tensor(position)}
        if not found and not done:
            raise ValueError(
                f"loader {share.place + 1} of {share.places} found no photograph in colour in a whole round: pass more "
                "of them with --data.train, fewer --data.workers, or a lower --data.min_color_std. Last it met:\n"
                f"{_tally(report, number)}"
            )

    def _decoded(
        self, samples: Iterator[tuple[int, Sample]], source: Source, number: int, report: dict[int, Tally]
    ) -> Iterator[tuple[int, "_Photograph"]]:
        """Those of some numbered photographs that can be taken; the report tells of the others.

        Raises:
            ImageError: none of a folder or shard can be read.
        """
        read: set[str] = set()
        unread: set[str] = set()
        for index, sample in samples:
            tally = _tally(report, number)
            tally.met += 1
            if sample.repeated:
                tally.note(REPEATED, sample.name)
                continue
            try:
                image, remarks = _image(sample, self.max_pixels)
            except (io.ImageError, OSError) as error:
                tally.note(UNREADABLE, sample.name, _reason(error))
                unread.add(sample.origin)
                continue
            read.add(sample.origin)
            size = "{} x {}".format(*image.size)
            if unfit := _unfit(image, self.size):
                tally.note(unfit, sample.name, size)
                continue
            if min(image.size) < self.size:
                tally.note(ENLARGED, sample.name, size)
            if remarks:
                tally.note(REMARKED, sample.name, "; ".join(remarks))
            label = _number(sample.label) if self.labelled else -1
            if label is None:
                tally.note(UNLABELLED, sample.name, f"{sample.label!r:.20}")
            yield index, _Photograph(sample.name, image, torch.tensor(-1 if label is None else label))
        for origin in sorted(unread - read):
            self._refuse_unreadable(source, origin)

    def _refuse_unreadable(self, source: Source, origin: str) -> None:
        """Look for one photograph that can be read: this loader may have met a share of them only."""
        reasons = []
        for sample in source.of(origin):
            try:
                _image(sample, self.max_pixels)
                return
            except (io.ImageError, OSError) as error:
                reasons.append(f"{sample.name}: {_reason(error)}")
        raise io.ImageError(f"{origin}: none of its {len(reasons):,} photographs can be read. The first, {reasons[0]}")

    def _augmented(self, image: Image.Image, seed: int) -> Tensor:
        with torch.random.fork_rng(devices=[]):  # there may be no loader process around it
            torch.default_generator.manual_seed(seed)
            return _bytes(self.augment(image))


class _Stream(IterableDataset[dict[str, Any]]):
    """Batches that a loader process makes."""

    def __init__(self, batches: Callable[[], Iterator[dict[str, Any]]]):
        self.batches = batches

    @override
    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.batches()


class _ValidationLoader(DataLoader[Any]):
    """Batches for validation; when all have come, it says what became of the photographs."""

    def __init__(self, stream: _Stream, account: Account, workers: int):
        super().__init__(stream, batch_size=None, num_workers=workers, persistent_workers=workers > 0)
        self.account = account

    @override
    def __iter__(self) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        self.account.rounds.clear()  # of a validation that was broken off
        found = False
        for batch in super().__iter__():
            self.account.add(batch.pop("report"))
            if batch:
                found = True
                yield batch
        if not found:
            met = f"It met:\n{self.account.rounds[0]}"
            raise ValueError(f"no photograph can be validated on: pass others with --data.val. {met}")
        self.account.close(before=1)


@dataclass(frozen=True)
class _Photograph:
    """One that can be taken, with the number of its class, () int64."""

    name: str
    image: Image.Image
    label: Tensor


def _image(sample: Sample, max_pixels: int) -> tuple[Image.Image, tuple[str, ...]]:
    """A photograph as colorlib reads it, in eight bits and without alpha, and what the reader remarks."""
    # At once: the reader looks here and there in a file.
    content = sample.content.read_bytes() if isinstance(sample.content, Path) else sample.content
    photo = io.read(content, max_pixels=max_pixels)
    if photo.pixels is None or photo.pixels.dtype != np.uint8:
        return io.to_pil(photo.rgb), photo.warnings
    # By way of floats it would be the same image, in twice the time.
    channels = photo.pixels.shape[2]
    image = Image.fromarray(photo.pixels[..., :3] if channels >= 3 else photo.pixels[..., 0])
    return image if image.mode == "RGB" else image.convert("RGB"), photo.warnings


def _bytes(image: Image.Image) -> Tensor:
    """RGB -> (3, H, W) uint8."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def _unfit(image: Image.Image, size: int) -> str:
    """What speaks against training on a photograph with crops of that size, if anything does."""
    short, long = sorted(image.size)
    if MAX_ENLARGED * short < size:
        return SMALL
    return NARROW if long > MAX_ASPECT * short else ""


def _reason(error: Exception) -> str:
    """Why a photograph cannot be read, without its name, which stands beside it."""
    if isinstance(error, io.TooLargeError):
        return f"{error.got}; --data.max_pixels allows more"
    return str(getattr(error, "strerror", None) or error).removeprefix("bytes: ")


def _number(label: int | bytes | None) -> int | None:
    """Of a class: -1 if there is none, None if it is no number."""
    try:
        return -1 if label is None else int(label)
    except ValueError:
        return None


def _tally(report: dict[int, Tally], number: int) -> Tally:
    """Of a round."""
    return report.setdefault(number, Tally())


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
    pixels = _bytes(image.resize((32, 32), Image.Resampling.BOX))
    with torch.inference_mode():
        return float(rgb_to_lab(pixels.float() / 255)[1:].flatten(1).var(dim=1, correction=0).sum().sqrt())
