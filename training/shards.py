"""Packs photographs into tar shards for training: ``python -m training shards SOURCE... OUT``."""

import hashlib
import io
import json
import os
import random
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import webdataset as wds
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from colorlib.io import ImageError, read, to_pil, write_whole
from training.sources import find_photos

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Entry:
    """A photograph and the number of its class, if it has one."""

    path: Path
    label: int | None = None


@dataclass(frozen=True)
class Encoded:
    """A JPEG file, and what the reader of the photograph left out or assumed."""

    data: bytes
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bad:
    """Why a photograph is left out."""

    reason: str


@app.command()
def pack(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="Folders, whose first-level subfolders are the classes, or text files: a line for each photograph, "
            "its path, relative to the file's folder, and perhaps a tab and its class.",
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Folder for NAME-000000.tar and so on, and for classes.txt.")],
    name: Annotated[str, typer.Option(help="What the shards are called.")] = "photos",
    size: Annotated[
        int | None, typer.Option(min=1, help="Scale longer short sides down to this; default: none.")
    ] = None,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG, where it is written anew.")] = 95,
    per_shard: Annotated[int, typer.Option(min=1, help="Photographs in a shard.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the order in which photographs go into shards.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes beside this one; the shards are the same.")] = 0,
) -> None:
    """Pack photographs into numbered tar shards: key.jpg and, with a class, key.cls.

    JPEG files that are upright, of plain RGB or gray and not too large go in as they are; all else is written anew, as
    sRGB, Lanczos-scaled and without chroma subsampling. What cannot be read is named and left out. A shard is there as
    a whole or not at all: the same command again goes on after the last one.
    """
    try:
        entries, classes = _listed(sources)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    random.Random(seed).shuffle(entries)
    out.mkdir(parents=True, exist_ok=True)
    # A name on the disk may be no text.
    listed = hashlib.sha256(os.fsencode("\n".join(f"{one.path}\t{one.label}" for one in entries))).hexdigest()
    settings = {"size": size, "quality": quality, "per_shard": per_shard, "seed": seed, "photographs": listed}
    _claim(out / f"{name}.json", settings)
    if classes:
        write_whole(out / "classes.txt", os.fsencode("".join(f"{one}\n" for one in classes)))

    starts = range(0, len(entries), per_shard)
    kept = bad = 0
    with tqdm(total=len(entries), unit="photo", disable=None, file=sys.stderr) as bar:
        for number, start in enumerate(starts):
            shard = out / f"{name}-{number:06}.tar"
            part = entries[start : start + per_shard]
            if shard.exists():
                kept += 1
                bar.update(len(part))
                continue
            # In order whatever the number of processes, and no more at hand than the writer can take.
            photos = DataLoader(_Encoded(part, size, quality), batch_size=None, num_workers=workers)
            bad += _write(shard, start, zip(part, photos, strict=True), bar)
    note = f", {kept} of them from before" if kept else ""
    typer.echo(f"{out}: {len(entries):,} files in {len(starts)} shards{note}; {bad} could not be read", err=True)


class _Encoded(Dataset[Encoded | Bad]):
    """The files that go into a shard."""

    def __init__(self, entries: list[Entry], size: int | None, quality: int):
        self.entries, self.size, self.quality = entries, size, quality

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Encoded | Bad:
        try:
            return encode(self.entries[index].path, self.size, self.quality)
        except (ImageError, OSError) as error:
            return Bad(str(error))


def encode(path: Path, size: int | None = None, quality: int = 95) -> Encoded:
    """A photograph as a JPEG file whose short side is at most `size`: its own bytes if they will do.

    Raises:
        ImageError: it cannot be read.
        OSError: nor can the file.
    """
    data = path.read_bytes()
    original = read(data)  # all of it, so that what is cut short does not get in
    photo = to_pil(original.rgb)
    width, height = photo.size
    scale = min(1.0, size / min(height, width)) if size else 1.0
    if scale == 1 and _is_plain(data, photo):
        return Encoded(data, original.warnings)
    if scale < 1:
        # A line of pixels stays one.
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        photo = photo.resize(small, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=quality, subsampling=0)  # colour is what is learned
    return Encoded(buffer.getvalue(), original.warnings)


def _is_plain(data: bytes, photo: Image.Image) -> bool:
    """Whether a file is a JPEG in which any reader sees what colorlib sees: upright, sRGB, RGB or gray."""
    with Image.open(io.BytesIO(data)) as image:
        plain = image.format == "JPEG" and image.mode in ("RGB", "L")
        return plain and image.convert("RGB").tobytes() == photo.tobytes()


def _write(shard: Path, start: int, photos: Iterable[tuple[Entry, Encoded | Bad]], bar: "tqdm[Any]") -> int:
    """A shard, by way of a file beside it; returns how many photographs are left out."""
    unfinished = shard.with_name(f".{shard.name}.part")
    bad = 0
    with unfinished.open("wb") as file:
        # Nothing of the clock or of the machine goes into the headers.
        with wds.TarWriter(file, mtime=0, encoder=False) as tar:
            for number, (entry, photo) in enumerate(photos, start):
                bar.update()
                if isinstance(photo, Bad):
                    tqdm.write(f"{_shown(str(entry.path))}: {_shown(photo.reason)}", file=sys.stderr)
                    bad += 1
                    continue
                label = {} if entry.label is None else {"cls": str(entry.label).encode()}
                tar.write({"__key__": f"{number:09}", "jpg": photo.data, **label})
                for warning in photo.warnings:
                    tqdm.write(f"{_shown(str(entry.path))}: {_shown(warning)}", file=sys.stderr)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(shard)
    return bad


def _shown(text: str) -> str:
    """What may hold bytes that are no text, as text."""
    return text.encode("utf-8", "backslashreplace").decode()


def _claim(record: Path, settings: Mapping[str, object]) -> None:
    """Keep what shards are made with, so that an interrupted run is not continued with something else."""
    if record.exists() and (before := json.loads(record.read_text(encoding="utf-8"))) != settings:
        changed = ", ".join(
            f"{key} {before.get(key)} (now {settings[key]})" for key in settings if before.get(key) != settings[key]
        )
        raise typer.BadParameter(
            f"{record.parent} holds shards called {record.stem} made with {changed}: repeat that command, or choose "
            "another --name or folder"
        )
    write_whole(record, json.dumps(settings, indent=2).encode())


def _listed(sources: list[Path]) -> tuple[list[Entry], list[str]]:
    """All photographs, and the names of their classes; numbers in a list file are labels as they are."""
    named: list[tuple[Path, str | None]] = []
    classes: set[str] = set()
    for source in sources:
        if source.is_dir():
            found = find_photos(source)
            named += found
            classes.update(label for _, label in found if label)
        elif source.is_file():
            lines = _read_list(source)
            named += lines
            classes.update(label for _, label in lines if label)
        else:
            raise FileNotFoundError(f"{source} is neither a folder of photographs nor a list of them")
    if classes and all(re.fullmatch(r"\d+", one) for one in classes) and not any(map(Path.is_dir, sources)):
        return [Entry(path, int(label) if label else None) for path, label in named], []
    names = sorted(classes)
    numbers = {label: number for number, label in enumerate(names)}
    return [Entry(path, numbers[label] if label else None) for path, label in named], names


def _read_list(source: Path) -> list[tuple[Path, str | None]]:
    """A path a line, and a label after a tab; a number may also come after a blank."""
    lines = [line.strip() for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]
    columns = [re.fullmatch(r"(.+?)(?:\t(.+)|\s+(\d+))?", line) for line in lines]
    return [(source.parent / one[1].strip(), one[2] or one[3]) for one in columns if one]
