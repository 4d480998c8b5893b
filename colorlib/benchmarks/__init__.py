"""Benchmarks: protocols, photographs, the runner, results and experiments."""

from typing import TYPE_CHECKING

import lazy_loader

# At once, or the module of this name would hide its function from whoever imported the module first.
from colorlib.benchmarks.reported import reported

__all__ = [
    "SCORES",
    "AbsentError",
    "DataError",
    "IncompleteError",
    "Method",
    "PhotoSet",
    "Protocol",
    "Run",
    "Score",
    "behind",
    "claim_table",
    "duel",
    "evaluate",
    "experiment",
    "experiment_rows",
    "list_benchmarks",
    "list_experiments",
    "pairwise",
    "protocol",
    "rank",
    "read_results",
    "reported",
    "score",
    "summarize",
    "without_colour",
    "write_inputs",
]

if TYPE_CHECKING:
    from colorlib.benchmarks.bootstrap import summarize, without_colour
    from colorlib.benchmarks.comparison import behind, duel, pairwise, rank
    from colorlib.benchmarks.experiments import claim_table, experiment, experiment_rows, list_experiments
    from colorlib.benchmarks.external import score, write_inputs
    from colorlib.benchmarks.methods import Method
    from colorlib.benchmarks.photos import AbsentError, DataError, IncompleteError, PhotoSet
    from colorlib.benchmarks.protocols import Protocol, list_benchmarks, protocol
    from colorlib.benchmarks.results import Run, read_results
    from colorlib.benchmarks.runner import evaluate
    from colorlib.benchmarks.scores import SCORES, Score
else:
    __getattr__, __dir__, _ = lazy_loader.attach(
        __name__,
        submodules=[],
        submod_attrs={
            "bootstrap": ["summarize", "without_colour"],
            "comparison": ["behind", "duel", "pairwise", "rank"],
            "experiments": ["claim_table", "experiment", "experiment_rows", "list_experiments"],
            "external": ["score", "write_inputs"],
            "methods": ["Method"],
            "photos": ["AbsentError", "DataError", "IncompleteError", "PhotoSet"],
            "protocols": ["Protocol", "list_benchmarks", "protocol"],
            "results": ["Run", "read_results"],
            "runner": ["evaluate"],
            "scores": ["SCORES", "Score"],
        },
    )
