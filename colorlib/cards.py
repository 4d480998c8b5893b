"""What a repository on the Hub holds beside the weights: the card with our measurements, and sample pictures."""

from collections.abc import Iterator
from dataclasses import replace
from os import PathLike
from pathlib import Path
from textwrap import dedent

import pandas as pd
import torch
import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub import EvalResultEntry as Entry
from huggingface_hub import eval_result_entries_to_yaml as entries_to_yaml

from colorlib import io
from colorlib.benchmarks import SCORES, protocol, read_results, summarize
from colorlib.benchmarks.tables import with_interval
from colorlib.colorizer import Colorizer
from colorlib.models import ModelInfo, model_info
from colorlib.tensors import CONFIG, WEIGHTS
from colorlib.weights import configured, write_in_one_piece
from colorlib.weights.repository import Config

SHOWN = {"colorize": ("rmse", "psnr", "ciede2000"), "balance": ("angular_error", "angular_error_before")}
SAMPLES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")


def assemble(model: str | PathLike[str], folder: Path, repo: str, results: str) -> None:
    """Write all that a repository of weights holds.

    Args:
        model: a name with embedded weights, or a weights file.
        folder: made anew.
        repo: ``OWNER/REPO``, where it is to be.
        results: ``OWNER/NAME`` of the data set with our results (:command:`colorlib push-results`).

    Raises:
        ValueError: no such method.
        WeightsError: no weights.
    """
    config, weights = configured(model)
    folder.mkdir(parents=True)
    rows = read_results()
    rows = rows[(rows["weights"] == config.weights.sha256) & (rows["model"] == config.model)]
    # Rows name the embedded file, which may leave out an encoder that several methods share; a repository does not.
    config = replace(config, weights=replace(config.weights, sha256=write_in_one_piece(weights, folder / WEIGHTS)))
    config.write(folder / CONFIG)
    info = model_info(config.model)
    (folder / "samples").mkdir()
    samples = list(_paint(folder))
    scores = _scores(rows, info)
    for benchmark, some in scores.groupby("benchmark", sort=False) if len(scores) else ():
        path = folder / ".eval_results" / f"{benchmark}.yaml"
        path.parent.mkdir(exist_ok=True)
        said = entries_to_yaml(
            [
                Entry(
                    dataset_id=results,
                    task_id=f"{row.protocol}/{row.score}",
                    value=round(float(row.value), 4),
                    notes=f"95 % interval over {row.photos} photographs: {row.low:.4f} to {row.high:.4f}",
                )
                for row in some.itertuples()
            ]
        )
        path.write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")
    (folder / "README.md").write_text(_card(config, info, scores, samples, repo, results), encoding="utf-8")


def _scores(rows: pd.DataFrame, info: ModelInfo) -> pd.DataFrame:
    """What was measured with these weights; empty if nothing was."""
    if rows.empty:
        return rows
    summed = summarize(rows, scores=SHOWN[info.task])
    return summed.assign(benchmark=summed["protocol"].str.partition("@")[0])


def _paint(folder: Path) -> Iterator[str]:
    """Pictures of scikit-image's photographs: the input (grayscale, or under a cast), the result and the original."""
    import skimage

    from colorlib.casts import random_casts

    colorizer = Colorizer(folder)
    for name in SAMPLES:
        true = io.read(Path(skimage.__file__).parent / "data" / name).rgb
        if colorizer.task == "balance":
            seen = random_casts(true[None], ("global",), torch.Generator().manual_seed(len(name)))[0]
        else:
            seen = true.mean(dim=0, keepdim=True).expand_as(true)
        pictures = [seen, colorizer(seen).rgb, true]
        small = torch.cat(pictures, dim=2)[None]
        small = torch.nn.functional.interpolate(small, scale_factor=256 / small.shape[2], mode="area")[0]
        path = folder / "samples" / f"{Path(name).stem}.png"
        io.to_pil(small).save(path)
        yield path.relative_to(folder).as_posix()


def _card(config: Config, info: ModelInfo, scores: pd.DataFrame, samples: list[str], repo: str, results: str) -> str:
    """The model card, with the front matter that the Hub reads."""
    weights = config.weights
    metrics = [
        EvalResult(
            task_type="image-to-image",
            task_name="White balance" if info.task == "balance" else "Image colorization",
            dataset_type=results,
            dataset_name=row.protocol,
            dataset_config=row.protocol,  # results of one configuration are one entry
            metric_type=row.score,
            metric_name=SCORES[row.score].title,
            metric_value=round(float(row.value), 4),
        )
        for row in scores.itertuples()
    ]
    # The Hub knows single licences; the text names all.
    license = "other" if " AND " in weights.license else weights.license.lower() or None
    data = ModelCardData(
        library_name="colorlib",
        license=license,
        pipeline_tag="image-to-image",
        tags=["image-colorization" if info.task == "colorize" else "white-balance", "computer-vision", "pytorch"],
        model_name=config.model,
        eval_results=metrics or None,
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_text(config, info, scores, samples, repo)}"))


def _text(config: Config, info: ModelInfo, scores: pd.DataFrame, samples: list[str], repo: str) -> str:
    weights, paper = config.weights, info.paper
    colours = info.task == "colorize"
    published = f"{paper.authors}: [*{paper.title}*]({paper.url}), {paper.venue} {paper.year}" if paper else "no paper"
    use = dedent(
        f"""\
        ```python
        import colorlib  # in a checkout of colorlib's source: pip install -e .

        result = colorlib.Colorizer("{repo}")("photo.jpg")
        result.save("photo-{"colour" if colours else "balanced"}.png")
        ```"""
    )
    limits = (
        "It guesses colours that a photograph does not hold: they are plausible at best, often pale, and no evidence "
        "of how things, or people, looked. Skies, plants, skin, wood and stone come out best; clothes and objects are "
        "mostly gray, brown or red. Lightness is never changed. Do not use it to forge or to identify."
        if colours
        else "It takes colour casts away that it was trained on, simulated ones, global and varying over the picture. "
        "A scene that is of one colour by nature may lose some of it."
    )
    lines = [
        f"# {info.label}",
        f"{info.summary} {'Grayscale photographs are coloured' if colours else 'Colour casts are taken away'} by "
        f"{weights.parameters / 1e6:.1f} million parameters.",
        f"Paper: {published}.",
        *(f"![{Path(sample).stem}: seen, painted, as it is]({sample})" for sample in samples),
        "From left to right: what the network sees, what it makes of it, and the photograph, which comes with "
        "scikit-image.",
        "## Use",
        use,
        "## Intended use and limits",
        limits,
        "## Training",
        f"Data: {weights.data or 'not stated'}. "
        + (
            f"Trained and published by the paper's authors: {weights.source}"
            if weights.source
            else f"Recipe: `{weights.recipe or 'not stated'}` of colorlib."
        ),
        "## Measured",
        _measured(scores, info),
        "## Files",
        f"`{WEIGHTS}` has the sha256 `{weights.sha256}`; `{CONFIG}` says so too, and what the network makes "
        f"of a test picture. colorlib checks both before it uses the weights. Written by colorlib {config.colorlib}.",
        "## Licence",
        f"{weights.terms or 'Not stated'}.",
    ]
    return "\n\n".join(lines) + "\n"


def _measured(scores: pd.DataFrame, info: ModelInfo) -> str:
    """A table with intervals, a row per protocol."""
    if scores.empty:
        return "Nothing yet: `colorlib evaluate` measures it."
    names = SHOWN[info.task]
    titles = [SCORES[name].title for name in names]
    rows = [["protocol", "photographs", *titles], ["---"] * (2 + len(names))]
    for identity, some in scores.groupby("protocol", sort=False):
        cells = {row["score"]: row for _, row in some.iterrows()}
        about = protocol(str(identity).partition("@")[0]).about
        shown = [with_interval(cells[name], 3) for name in names]
        rows.append([f"`{identity}`: {about}", str(some["photos"].max()), *shown])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    kept = (
        "; the mean of R, G and B is the photograph's, so that only colour is scored" if info.task == "colorize" else ""
    )
    return f"{table}\n\nWith 95 % bootstrap intervals over photographs{kept}. `colorlib evaluate` repeats each row."


def results_card(repo: str, protocols: list[str]) -> str:
    """The card of a data set of results."""
    tables = "\n".join(f"- `{identity}`" for identity in protocols)
    return dedent(
        """\
        ---
        license: cc0-1.0
        tags: [image-colorization, white-balance, benchmark, colorlib]
        configs:
          - config_name: default
            data_files: "*/*.parquet"
        ---

        # Results of colorlib

        A row per photograph, method and protocol, as `colorlib evaluate` writes them; `PROTOCOL/seconds/` says how long
        each took. No photograph is in it.

        ```sql
        SELECT model, avg(psnr) FROM read_parquet('hf://datasets/{repo}/*/*.parquet', union_by_name=true) GROUP BY model
        ```

        The dashboard shows it with `COLORLIB_RESULTS=hf://datasets/{repo}`. Protocols:

        {tables}
        """
    ).format(repo=repo, tables=tables)
