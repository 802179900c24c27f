"""Optuna's tables made, or brought to the schema of the Optuna that is installed."""

import logging

import optuna


def prepare_tables(url: str) -> None:
    """Make Optuna's tables in a database where they are missing; upgrade them where they are older."""
    optuna.logging.set_verbosity(logging.WARNING)
    storage = optuna.storages.RDBStorage(url, skip_compatibility_check=True)
    try:
        if storage.get_current_version() != storage.get_head_version():
            storage.upgrade()
    finally:
        storage.engine.dispose()
