"""Frozen values and errors that the stages exchange. Imports pydantic and the standard library, does no I/O."""
