"""What is measured on what, and what came of it."""

from colorlib.benchmarks.experiments import claim_table, experiment, experiment_rows, list_experiments
from colorlib.benchmarks.methods import Method
from colorlib.benchmarks.photos import AbsentError, DataError, PhotoSet
from colorlib.benchmarks.protocols import Protocol, list_benchmarks, protocol
from colorlib.benchmarks.reported import reported
from colorlib.benchmarks.results import Run, read_results, summarize, without_colour
from colorlib.benchmarks.runner import evaluate
from colorlib.benchmarks.scores import SCORES, Score

__all__ = [
    "SCORES",
    "AbsentError",
    "DataError",
    "Method",
    "PhotoSet",
    "Protocol",
    "Run",
    "Score",
    "claim_table",
    "evaluate",
    "experiment",
    "experiment_rows",
    "list_benchmarks",
    "list_experiments",
    "protocol",
    "read_results",
    "reported",
    "summarize",
    "without_colour",
]
