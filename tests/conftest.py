"""What every test shares."""

from hypothesis import settings

# A busy machine is no wrong answer: examples have no deadline.
settings.register_profile("tuner", deadline=None)
settings.load_profile("tuner")
