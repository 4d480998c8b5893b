"""Training of the methods in `colorlib`: ``python -m training fit --config training/recipes/NAME.yaml``."""
