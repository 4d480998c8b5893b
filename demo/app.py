"""Colour a photograph with every method that colorlib has ready, side by side, or balance its white. For Spaces too.

Each process that multiprocessing starts imports this file anew, so it has nothing but the call.
"""

if __name__ == "__main__":
    from server import launch

    launch()
