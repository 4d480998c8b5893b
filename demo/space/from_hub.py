"""Let an assembled Space take weights from the Hub instead of carrying them: ``from_hub.py LIBRARY OWNER/METHOD...``.

The index then names the repositories. What comes from there has to have the sha256 that the index has had all along.
"""

import json
import sys
from pathlib import Path


def refer(library: Path, repositories: list[str]) -> None:
    """Leave files of weights out, and name the repositories that ``colorlib push METHOD --repo OWNER/METHOD`` made.

    Raises:
        SystemExit: one is not called after a method whose weights are there.
    """
    index = library / "weights" / "index.json"
    rows = json.loads(index.read_text(encoding="utf-8"))
    for repository in repositories:
        name = repository.partition("/")[2].replace("-", "_")
        files = [method for method, row in rows.items() if row["file"]]  # the others combine methods
        if name not in files:
            sys.exit(f"{repository}: expected OWNER/METHOD, the method being one of {', '.join(files)}")
        rows[name]["repo"] = repository
        (library / "weights" / rows[name]["file"]).unlink()
    index.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    refer(Path(sys.argv[1]), sys.argv[2:])
