"""The result file: schema, migrations, one writer, any number of readers. The only package importing SQLAlchemy.

`reader` stands on its own, so that a reading command never waits for Alembic.
"""
