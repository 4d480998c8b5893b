"""``python -m colorlib``: the shell's commands, for where no script is on the path."""

from colorlib.cli import app

if __name__ == "__main__":
    app(prog_name="colorlib")
