"""Many photographs: plan where each output goes, then colour or balance them, one at a time or in many processes.

:func:`plan` finds the photographs, names the outputs, and refuses a plan that would overwrite an input or write two
outputs to one file. :func:`run` carries the plan out, here, in several processes or on a Ray cluster. Each process has
one photograph, or one page of it, in memory at a time, and the files do not depend on how many there are. A photograph
whose outputs all exist is skipped, so the same plan resumes an interrupted run. A file that fails becomes an
:class:`Outcome` that says why, and the others go on. Outputs are written whole or not at all, also if the run is
interrupted.

Photographs and outputs are files, or addresses that fsspec knows, such as ``s3://bucket/scans/``. What is read from a
server are addresses that the caller gave, and what is listed below them.

``colorlib colorize`` and ``colorlib balance`` are this module with options. Importing it does not import torch.

Example:
    A folder is coloured. The second run finds nothing left to do.

    >>> from pathlib import Path, PurePath
    >>> from tempfile import mkdtemp
    >>> from PIL import Image
    >>> from skimage import data
    >>> from colorlib import Colorizer, batch
    >>> folder = Path(mkdtemp())
    >>> (folder / "scans").mkdir()
    >>> Image.fromarray(data.camera()).save(folder / "scans/camera.png")
    >>> colorizer = Colorizer("iizuka16_small")
    >>> plan = batch.plan([str(folder / "scans")], folder / "coloured")
    >>> [job.output.name for job in plan.jobs if not job.done]
    ['camera.png']
    >>> [outcome.status for outcome in batch.run(plan, colorizer)]
    ['colored']
    >>> [outcome.status for outcome in batch.run(plan, colorizer)]
    ['skipped']
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from colorlib import _spread
from colorlib._address import Address, Place
from colorlib._inputs import Found, PlanError, find, input_name, place, read_source, real
from colorlib._jobs import (
    STDOUT,
    SUCCESS,
    Engine,
    Job,
    Outcome,
    Plan,
    Reader,
    Reference,
    Status,
    Transfer,
    describe_error,
    is_tiff,
    without_name,
)
from colorlib._painter import Painter, nothing
from colorlib._text import extra

if TYPE_CHECKING:
    from colorlib.colorizer import Colorizer

__all__ = [
    "STDOUT",
    "SUCCESS",
    "Address",
    "Engine",
    "Found",
    "Job",
    "Outcome",
    "Place",
    "Plan",
    "PlanError",
    "Reader",
    "Reference",
    "Status",
    "Transfer",
    "check_engine",
    "describe_error",
    "find",
    "input_name",
    "is_file_name",
    "output_name",
    "place",
    "plan",
    "read_reference",
    "read_source",
    "run",
]

_PATIENCE = 4.0  # seconds of work that are worth the start of processes, which takes about three
_LARGE = 1 << 24  # bytes of a file that is painted alone, by all threads, so that memory is that of one such file
_MEMORY = 2 << 30  # bytes for a process


def plan(
    inputs: Iterable[str],
    out: str | Place,
    recursive: bool = False,
    *,
    samples: int = 0,
    uncertainty: bool = False,
    disagreement: bool = False,
    reference: Place | None = None,
) -> Plan:
    """Find the photographs and name their outputs; reads folders, writes nothing.

    Args:
        inputs: files, folders, patterns, addresses and ``"-"`` for standard input, as :func:`find` takes them. Images
            in ``out`` are not inputs.
        out: the folder for the outputs, which keep their place below the folder that was given, or below the folder
            before the first wildcard of a pattern. For one photograph it can be the output file itself, recognised by
            its suffix, or ``"-"`` for standard output. Folders and files may be addresses, but not on the web.
        recursive: search the folders below a folder too.
        samples: how many alternatives to write for each photograph.
        uncertainty: whether to write a map of uncertainty for each photograph.
        disagreement: whether to write a map of disagreement.
        reference: a photograph or a folder of photographs that must not be overwritten either.

    Raises:
        PlanError: no photograph was found, an output would overwrite an input, the reference or another output, or
            something at an address cannot be listed.
    """
    out = place(out)
    inputs = list(inputs)
    single = is_file_name(out)
    found = find(inputs, recursive, without=None if single else out)
    jobs = []
    for source, base in found.files:
        output = out if single else out / _below(source, base).with_name(output_name(source.name))
        jobs.append(_job(source, output, samples, uncertainty, disagreement))
    if single and len({real(job.source) for job in jobs}) > 1:
        takes = "standard output takes" if out == STDOUT else f"output {out} is the name of"
        raise PlanError(f"got {len(jobs)} photographs, but {takes} one picture; choose a folder for the outputs")
    return Plan(_checked(jobs, reference), found.ignored, found.unlisted)


def output_name(name: str) -> str:
    """The same name if its format can be written, else the name followed by ``.png``."""
    from colorlib import io

    return name if Path(name).suffix.lower() in io.WRITABLE else _named(name, ".png")


def _named(stem: str, ending: str) -> str:
    """Both together; the stem is cut if they were longer than the 255 bytes that file systems take."""
    while stem and len(os.fsencode(stem + ending)) > 255:
        stem = stem[:-1]
    return stem + ending


def is_file_name(out: Place) -> bool:
    """Whether an output is a file or standard output, not a folder.

    Raises:
        PlanError: it is a file of a format that cannot be written, or at an address that cannot be written or asked.
    """
    from colorlib import io

    suffix = out.suffix.lower()
    if isinstance(out, Address):
        if out.web:
            raise PlanError(
                f"output {out}: the web can only be read; choose a folder here, or an address such as s3://"
            )
        try:
            out.forget()
            folder = out.text.endswith("/") or out.is_dir()
        except OSError as error:
            raise PlanError(f"output {error}") from error
        if folder:
            return False
    if out.is_dir() and out != STDOUT:
        return False
    if out == STDOUT or suffix in io.WRITABLE:
        return True
    if out.is_file() or suffix in io.image_suffixes():
        known = ", ".join(sorted(io.WRITABLE))
        got = "is a file" if out.is_file() else f"ends in {suffix}, which cannot be written"
        raise PlanError(f"output {out} {got}; choose a folder, or for one photograph a file name with {known}")
    return False


def read_reference(path: Place, transfer: Transfer | None, colorizer: "Colorizer") -> Reference:
    """Read a reference once for all photographs.

    Args:
        path: a photograph; for style also a folder of photographs, which is not at an address.
        transfer: ``"style"`` lets the method itself follow the reference; ``"energy"`` and ``"quantile"`` transfer its
            colours, see :meth:`colorlib.Result.transfer`. Default: style for a method that learned nothing and takes a
            reference, else the choice of :meth:`colorlib.Result.transfer`.
        colorizer: the method.

    Raises:
        PlanError: the reference cannot be read, has no colour, or does not go with the method.
    """
    from colorlib import io
    from colorlib.gallery import Gallery
    from colorlib.transfer import shrink_reference

    takes = colorizer.model.takes_reference
    learned = colorizer.model.learned
    if transfer == "style" and not takes:
        raise PlanError(f"{path}: {colorizer.name} takes no reference; style works with {_style_methods()}")
    style = transfer == "style" or (transfer is None and takes and not learned)
    try:
        folder = path.is_dir()
        if folder and isinstance(path, Address):
            raise PlanError(f"{path}: is a folder at an address; choose a file, or copy the folder to this machine")
        if folder and not style:
            raise PlanError(f"{path}: is a folder; choose a file, or transfer style with {_style_methods()}")
        if isinstance(path, Path) and folder:
            gallery = Gallery(path, gray=learned, max_pixels=colorizer.max_pixels)
            return Reference(style=gallery, warnings=gallery.warnings)
        photo = io.read(read_source(path), max_pixels=colorizer.max_pixels)
        if style:
            return Reference(style=colorizer.shrunk_reference(photo), warnings=photo.warnings)
        method = None if transfer == "style" else transfer
        return Reference(colours=shrink_reference(photo), method=method, warnings=photo.warnings)
    except PlanError:
        raise
    except (ValueError, OSError) as error:
        raise PlanError(f"{path}: {without_name(error, path)}") from error


def run(
    plan: Plan,
    colorizer: "Colorizer",
    *,
    reference: Reference | None = None,
    strength: float = 1.0,
    saturation: float = 1.0,
    quality: int = 95,
    overwrite: bool = False,
    leave_borders: bool = False,
    before_page: Callable[[], object] | None = None,
    workers: int | None = 1,
    engine: Engine = "local",
    reader: Reader | None = None,
) -> Iterator[Outcome]:
    """Carry out a plan, as outcomes are asked for.

    The files are the same, byte for byte, whatever the engine and the number of workers, unless memory is so short that
    a network sees a smaller copy. Torch's random generator is seeded before each photograph, so that a decoder that
    samples draws the same whichever photographs came before. In a plan of more than one photograph all but painting is
    done on one thread, since rounding depends on their number.

    Args:
        plan: of :func:`plan`.
        colorizer: the method.
        reference: of :func:`read_reference`.
        strength: see :meth:`colorlib.Result.adjust`.
        saturation: see :meth:`colorlib.Result.adjust`.
        quality: of JPEG, 1 to 100.
        overwrite: write outputs that exist again, instead of skipping them.
        leave_borders: whether the method sees photographs without the borders of scans, see :mod:`colorlib.borders`,
            which then have no colour; those of balanced photographs stay as they are. Maps are black there.
        before_page: called before each photograph and each page that is painted in this process, and whenever another
            process hands in an outcome. An exception from it ends the run, and the photographs that are being written
            leave no file.
        workers: processes. 1 is this one. None takes one for each core, but not more than memory allows, once the
            plan has turned out to be long enough to pay for their start; on CUDA it takes 1. A script that asks for
            more than one needs ``if __name__ == "__main__":``, as all do that start processes. Files of more than 16 MB
            and what no other process can read are painted in this one. On a cluster None is one for each of its CPUs,
            or GPUs.
        engine: ``"local"``, or ``"ray"``: on a Ray cluster, whose machines must see the files under the same paths or
            addresses. A worker that is killed is started again, and repeats the photograph that it had.
        reader: what reads the photographs, such as one that does so in a process with limits. Other processes get a
            copy of it, pickled. Default: :mod:`colorlib.io`.

    Returns:
        An outcome for each job in the plan's order, then one for each folder that could not be listed.

    Raises:
        PlanError: the plan cannot be carried out by this engine.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"expected at least 1 worker, got {workers}")
    check_engine(plan, engine)
    alone = len(plan.jobs) == 1 and engine == "local"  # there is nothing else for the other cores to do
    paint = Painter(
        colorizer=colorizer,
        reference=reference or Reference(),
        strength=strength,
        saturation=saturation,
        quality=quality,
        overwrite=overwrite,
        leave_borders=leave_borders,
        all_threads=alone,
        reader=reader,
    )
    return _run(plan, paint, before_page or nothing, workers, engine)


def check_engine(plan: Plan, engine: Engine) -> None:
    """Find out whether an engine can carry out a plan.

    Raises:
        PlanError: Ray is not installed, or its workers cannot do a job.
    """
    if engine == "local":
        return
    if not _spread.ray_is_there():
        raise PlanError(f"engine ray needs Ray: {extra('ray')}")
    for job in plan.jobs:
        if not job.travels:
            places = f"{input_name(job.source)} -> {job.output}"
            raise PlanError(f"{places}: no other process can do this; choose files or addresses, or engine local")


def _below(source: Place, base: Place) -> PurePath:
    """The place of a photograph below the folder that outputs keep it from; the two are of one kind."""
    if isinstance(source, Address):
        assert isinstance(base, Address)
        return source.relative_to(base)
    assert isinstance(base, Path)
    return source.relative_to(base)


def _job(source: Place, output: Place, samples: int, uncertainty: bool, disagreement: bool) -> Job:
    """The other files lie beside the output and are named after it."""
    numbered = tuple(output.with_name(_named(output.stem, f"-sample{k}{output.suffix}")) for k in range(1, samples + 1))
    # JPEG would change the values, and only TIFF can hold the maps of many pages.
    lossless = output.suffix if is_tiff(output) else ".png"
    uncertain = output.with_name(_named(output.stem, f"-uncertainty{lossless}")) if uncertainty else None
    apart = output.with_name(_named(output.stem, f"-disagreement{lossless}")) if disagreement else None
    return Job(source, output, numbered, uncertain, apart)


def _checked(jobs: Iterable[Job], reference: Place | None) -> list[Job]:
    """The jobs without repetitions, provided that no file would be lost."""
    unique = {(real(job.source), real(job.output)): job for job in jobs}
    protected = {source: "an input" for source, _ in unique}
    if reference and (isinstance(reference, Address) or not reference.is_dir()):
        protected[real(reference)] = "the reference"
    writers: dict[Place, Job] = {}
    conflicts = []
    for job in unique.values():
        # One for each job: its other files are likely to have the same one.
        if conflict := next(
            filter(None, (_conflict(job, file, protected, reference, writers) for file in job.files)), None
        ):
            conflicts.append(conflict)
    if conflicts:
        problems = [problem for problem, _ in conflicts[:5]]
        more = [f"and {len(conflicts) - 5} more"] if len(conflicts) > 5 else []
        advice = "; ".join(sorted({advice for _, advice in conflicts}))
        raise PlanError("\n".join([*problems, *more, f"nothing has been written; {advice}"]))
    return list(unique.values())


def _is_in(folder: Place | None, file: Place) -> bool:
    """Whether a file is in a folder of this machine."""
    if isinstance(file, Path) and isinstance(folder, Path):
        return folder.is_dir() and file.is_relative_to(real(folder))
    return False


def _conflict(
    job: Job, file: Place, protected: Mapping[Place, str], reference: Place | None, writers: dict[Place, Job]
) -> tuple[str, str] | None:
    """Why a file must not be written, and what to do about it; notes in `writers` which job writes the file."""
    target = real(file)
    if target in protected:
        return f"{file} is {protected[target]}, and would be overwritten", "choose another output"
    if _is_in(reference, target):
        return f"{file} would be written into the folder of references, {reference}", "choose another output"
    other = writers.setdefault(target, job)
    if other is job:
        return None
    if other.source.parent != job.source.parent:
        advice = "give the folder that holds both, and --recursive (recursive=True), to keep them apart"
    else:
        advice = "process these two separately, each with its own output, or rename one"
    return f"{other.source} and {job.source} would both become {file}", advice


def _run(
    plan: Plan, paint: "Painter", check: Callable[[], object], workers: int | None, engine: Engine
) -> Iterator[Outcome]:
    jobs = deque(plan.jobs)
    if engine == "local":
        yield from _alone(jobs, paint, check, workers)
    if jobs:
        yield from _together(list(jobs), paint, check, workers, engine)
    for error in plan.unlisted:
        yield Outcome(str(error.filename), error=str(error))


def _alone(jobs: deque[Job], paint: "Painter", check: Callable[[], object], workers: int | None) -> Iterator[Outcome]:
    """Take jobs and do them in this process, for as long as more of them would not pay."""
    on_cpu = paint.colorizer.device.type == "cpu"
    count = (_cores() if on_cpu else 1) if workers is None else workers
    painted, seconds = 0, 0.0
    while jobs:
        long = workers is not None or (painted > 0 and len(jobs) * seconds / painted > _PATIENCE)
        if count > 1 and len(jobs) > 1 and long:
            _spread.warm_up()
            if workers is not None or seconds > _PATIENCE:
                return
        check()
        outcome = paint(jobs.popleft(), check)
        if outcome.status != "skipped":
            painted, seconds = painted + 1, seconds + outcome.seconds
        yield outcome


def _together(
    jobs: Sequence[Job], paint: "Painter", check: Callable[[], object], workers: int | None, engine: Engine
) -> Iterator[Outcome]:
    """Outcomes of jobs that other processes do, in the order of the jobs."""
    finished: dict[int, Outcome] = {}

    def for_others() -> Iterator[tuple[int, Job]]:
        for index, job in enumerate(jobs):
            check()
            outcome = paint.without_work(job)
            if outcome is None and engine == "local" and _is_for_this_process(job):
                outcome = paint(job, check)
            if outcome is None:
                yield index, job if engine == "local" else job.absolute
            else:
                finished[index] = outcome

    outcomes: Generator[tuple[int, Outcome | _spread.WorkerDied], None, None]
    if engine == "ray":
        gpu = paint.colorizer.device.type == "cuda"
        outcomes = _spread.on_ray(paint, for_others(), workers, gpu=gpu)
    else:
        outcomes = _spread.in_processes(paint, for_others(), workers or _cores())
    turn = 0
    with closing(outcomes):  # at once, also if a traceback would keep it: that ends the processes
        for index, outcome in outcomes:
            check()
            named = paint.outcome(jobs[index])
            if isinstance(outcome, Exception):
                finished[index] = replace(named, error=str(outcome))
            else:
                names = ("input", "output", "samples", "uncertainty", "disagreement")
                finished[index] = replace(outcome, **{name: getattr(named, name) for name in names})
            while turn in finished:
                yield finished.pop(turn)
                turn += 1
    while turn in finished:
        yield finished.pop(turn)
        turn += 1


def _is_for_this_process(job: Job) -> bool:
    """Whether a job is not for other processes: they cannot do it, or many of its kind would take too much memory."""
    if not job.travels:
        return True
    try:
        size = job.source.size() if isinstance(job.source, Address) else job.source.stat().st_size
    except OSError:  # which is that photograph's failure
        return False
    return size is not None and size > _LARGE


def _cores() -> int:
    """Cores that this process may use, as far as there is memory for a process on each."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return cores
    return max(1, min(cores, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MEMORY))


def _style_methods() -> str:
    """The methods that can follow the style of a reference."""
    from colorlib.catalog import catalog

    ready = (entry for entry in catalog().values() if entry.ready and entry.task == "colorize")
    return ", ".join(entry.name for entry in ready if entry.takes_reference)
