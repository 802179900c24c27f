"""What to try next: Optuna's ask and tell. The only package that imports Optuna."""
