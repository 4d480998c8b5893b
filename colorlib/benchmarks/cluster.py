"""Measure on a Ray cluster: the chunks of a run go through Ray Data, each process loads the method once."""

import logging
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from colorlib.benchmarks.photos import Photo

if TYPE_CHECKING:
    from colorlib.benchmarks.runner import Job, Part


def measured_on_ray(job: "Job", chunks: dict[int, list[Photo]], workers: int | None) -> "Iterator[Part]":
    """The chunks of a run, measured, as they are finished.

    Args:
        job: what to measure.
        chunks: by their index.
        workers: processes; default: one per GPU of the cluster where the job's device is CUDA, else one per two CPUs.

    Raises:
        ImportError: Ray is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError("--engine ray needs Ray: pip install 'colorlib-torch[ray]'") from error
    if not chunks:
        return
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False  # the runner has one
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    cuda = job.painter.colorizer.device.type == "cuda"
    resources = ray.cluster_resources()
    count = workers or max(1, math.floor(resources.get("GPU", 0) if cuda else resources.get("CPU", 2) / 2))
    items = [{"index": index, "photos": photos} for index, photos in chunks.items()]
    measured = ray.data.from_items(items, override_num_blocks=len(items)).map(
        _Worker,
        fn_constructor_args=(job,),
        compute=ray.data.ActorPoolStrategy(size=min(count, len(items))),
        num_cpus=0 if cuda else 1,
        num_gpus=1 if cuda else 0,
    )
    for row in measured.iter_rows():
        yield row["part"]


class _Worker:
    """A process of the cluster."""

    def __init__(self, job: "Job"):
        torch.set_num_threads(job.threads)  # Ray allows one, and rounding may depend on it
        self.job = job

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        photos = row["photos"]
        return {"part": self.job.measure(row["index"], photos, [self.job.load(photo) for photo in photos])}
