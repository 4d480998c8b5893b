"""Mutation testing (cosmic-ray) of colour, targets, metrics and transfer: are small faults in the code caught?

A sample of all mutants is tried, each in a copy of the tree, by the tests of its part. What is done is kept in
build/mutants until the code, its tests or the pinned packages change, so that a run that was stopped goes on. Prints
the survivors, and exits with 1 if less than nine of ten were caught. Mutants that were never tested, because they
cannot be made or imported or because pytest itself ended, are counted apart.
"""

import argparse
import hashlib
import os
import random
import shlex
import shutil
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

from cosmic_ray.commands.init import _all_work_items
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult

FOLDER = Path("build/mutants").absolute()
SECONDS = 600  # for the tests of one mutant
# The tests of each part, the quickest first.
PARTS = {
    "colorlib/color.py": ["test_color", "test_luv_bins", "test_properties"],
    "colorlib/targets/*.py": ["test_targets", "test_rebalancing", "test_luv_bins", "test_histogram_targets"],
    "colorlib/metrics/*.py": ["test_metrics", "test_metrics_modular", "test_regions"],
    "colorlib/transfer.py": ["test_transfer", "test_welsh02"],
}


def main() -> int:
    """Try the mutants that are left, and report on all."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sample", type=int, default=300, help="mutants to try")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    parts = {path: part for part in PARTS for path in sorted(Path().glob(part))}
    tests = [Path(f"tests/{test}.py") for part in PARTS.values() for test in ["conftest", *part]]
    kept = [*parts, *tests, Path("constraints.txt")]
    code = hashlib.sha256(b"\0".join(path.read_bytes() for path in kept)).hexdigest()
    tree = FOLDER / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    for folder in ("colorlib", "training", "tests"):
        shutil.copytree(folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy("pyproject.toml", tree)
    os.chdir(tree)
    # Mutants of equal length within a second would share bytecode.
    os.environ |= {"PYTHONPATH": f"{tree}:{tree}/tests", "PYTHONDONTWRITEBYTECODE": "1"}
    for part in PARTS:  # tests that fail in the copy anyway would catch everything
        if subprocess.run(shlex.split(command(part)), check=False).returncode:
            raise SystemExit(f"the tests of {part} fail without a mutant: {command(part)}")
    with use_db(FOLDER / f"{code[:16]}-{chosen.seed}.sqlite") as session:
        if not session.num_work_items:
            session.add_work_items(shuffled(list(parts), chosen.seed))
        items = sorted(session.work_items, key=attrgetter("job_id"))[: chosen.sample]
        done = {job for job, _ in session.results}
        for number, item in enumerate(items, 1):
            if item.job_id not in done:
                (mutation,) = item.mutations
                result = mutate_and_test(item.mutations, command(parts[mutation.module_path]), SECONDS)
                session.set_result(item.job_id, result)
                print(f"{number} of {len(items)}: {mutation.module_path} {fate(result)}", file=sys.stderr)
        return report(session, items, parts)


def command(part: str) -> str:
    """Runs the tests of a part, until one fails. The last line says how pytest ended: cosmic-ray keeps only output."""
    tests = " ".join(f"tests/{test}.py" for test in PARTS[part])
    pytest = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {tests}"
    return f"sh -c {shlex.quote(f'{pytest}; code=$?; echo exit code $code; exit $code')}"


def fate(result: WorkResult) -> str:
    """Of a mutant: ``caught`` if a test failed or took too long, ``survived``, or ``untested``."""
    if result.worker_outcome is not WorkerOutcome.NORMAL:
        return "untested"
    if result.test_outcome is TestOutcome.SURVIVED:
        return "survived"
    output = result.output or ""
    failed = output.endswith("\nexit code 1\n") and "ERROR collecting" not in output
    return "caught" if failed or output == "timeout" else "untested"


def shuffled(paths: list[Path], seed: int) -> list[WorkItem]:
    """All mutants in an order that chance gives, but for unions of types, which break at import and prove nothing."""
    found = [item for item in _all_work_items(paths, {}) if "BitOr" not in item.mutations[0].operator_name]
    random.Random(seed).shuffle(found)
    return [WorkItem.single(f"{number:06}", item.mutations[0]) for number, item in enumerate(found)]


def report(session: WorkDB, items: list[WorkItem], parts: dict[Path, str]) -> int:
    """Print a table by part, and how each survivor differs."""
    results = dict(session.results)
    fates = {item.job_id: fate(results[item.job_id]) for item in items}
    print(f"{'part':26}{'mutants':>8}{'caught':>8}{'survived':>10}{'untested':>10}")
    for part in [*PARTS, "all"]:
        rows = [fates[item.job_id] for item in items if part in (parts[item.mutations[0].module_path], "all")]
        print(f"{part:26}{len(rows):8}{rows.count('caught'):8}{rows.count('survived'):10}{rows.count('untested'):10}")
    survivors = [item for item in items if fates[item.job_id] == "survived"]
    for item in survivors:
        print(f"\nsurvived: {item.mutations[0].operator_name}\n{results[item.job_id].diff}")
    caught = list(fates.values()).count("caught")
    return int(caught == 0 or len(survivors) > 0.1 * (caught + len(survivors)))


if __name__ == "__main__":
    sys.exit(main())
