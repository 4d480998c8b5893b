"""Files that tests make and look for."""

from pathlib import Path


def touch(folder: Path, *names: str) -> Path:
    """Empty files, in folders that are made for them."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def tree(folder: Path) -> set[str]:
    """Every file below a folder, by its place there."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
