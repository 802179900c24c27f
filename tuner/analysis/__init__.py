"""What the measurements say: fronts and the best configuration. Pure: no I/O, no clock."""
