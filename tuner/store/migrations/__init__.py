"""Alembic's scripts for the tuner's tables; `tuner.store.migrate` runs them."""
