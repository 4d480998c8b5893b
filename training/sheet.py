"""Look at methods side by side: ``python -m training.sheet METHODS... --data PHOTOS --out sheet.png``.

For each photograph there are a picture without colour, one by each method, and the photograph itself. A method before
and after a training are a weights file and a name, or two weights files.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from PIL import Image, ImageDraw

from colorlib import io
from colorlib.benchmarks import DataError, Method
from colorlib.benchmarks.protocols import of_path
from colorlib.tensors import WeightsError

GAP = 4  # pixels between pictures
TITLE = 16  # pixels, of a line of text above them


def sheet(rows: Sequence[Sequence[Image.Image]], titles: Sequence[str], across: int) -> Image.Image:
    """Pictures in rows and columns, with titles above.

    Args:
        rows: the pictures of each photograph, all of one height.
        titles: of the pictures of a row.
        across: how many photographs stand side by side.
    """
    widths = [max(row[k].width for row in rows) for k in range(len(titles))]
    height = rows[0][0].height
    block = sum(widths) + GAP * len(widths) + 2 * GAP
    page = Image.new("RGB", (block * min(across, len(rows)), TITLE + (height + GAP) * -(-len(rows) // across)), "white")
    pen = ImageDraw.Draw(page)
    for number, row in enumerate(rows):
        x, y = block * (number % across), TITLE + (height + GAP) * (number // across)
        for picture, title, width in zip(row, titles, widths, strict=True):
            if number < across:
                pen.text((x, 2), title, fill="black")
            page.paste(picture, (x, y))
            x += width + GAP
    return page


@torch.no_grad()
def pictures(methods: Sequence[Method], data: Path, count: int, height: int) -> list[list[Image.Image]]:
    """For each of some photographs: each method's picture, and the photograph.

    Args:
        methods: what paints.
        data: a folder of photographs, or a tar shard.
        count: how many of them, at equal distances in the order of their names; all, if there are no more.
        height: of the pictures, in pixels.

    Raises:
        DataError: no photograph is there.
    """
    protocol, photos = of_path(data)
    count = min(count, len(photos))
    painters = [method.painter() for method in methods]
    rows = []
    for photo in (photos[k * len(photos) // count] for k in range(count)):
        rgb = protocol.load(photo)
        painted = [painter(rgb[None])[0] for painter in painters]
        size = round(rgb.shape[-1] * height / rgb.shape[-2]), height
        rows.append([io.to_pil(one.cpu()).resize(size, Image.Resampling.BICUBIC) for one in (*painted, rgb)])
    return rows


def main(
    methods: Annotated[
        list[str],
        typer.Argument(
            help="Names or weights files, with settings as `colorlib evaluate` takes them, such as "
            "larsson16_small:look=vivid or old.safetensors:saturation=1.75."
        ),
    ],
    data: Annotated[Path, typer.Option(help="A folder of photographs, or a tar shard.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture to write.")],
    count: Annotated[int, typer.Option(min=1, help="How many photographs.")] = 20,
    height: Annotated[int, typer.Option(min=8, help="Height of each picture in pixels.")] = 192,
    across: Annotated[int, typer.Option(min=1, help="How many photographs stand side by side.")] = 2,
) -> None:
    """Write a contact sheet: for each photograph the input, each method's picture, and the original."""
    if out.suffix.lower() not in Image.registered_extensions() or not out.parent.is_dir():
        raise typer.BadParameter(f"--out {out}: expected a picture such as sheet.png, in a folder that is there")
    try:
        shown = [Method.of(name) for name in ("grayscale", *methods)]
        rows = pictures(shown, data, count, height)
    except (ValueError, DataError, WeightsError, io.ImageError) as error:
        raise typer.BadParameter(str(error)) from error
    sheet(rows, ["input", *methods, "original"], across).save(out)
    typer.echo(f"{out}: {len(rows)} photographs of {data}")


if __name__ == "__main__":
    typer.run(main)
