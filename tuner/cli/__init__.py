"""Commands and rendering: the only package that talks to the terminal. Heavy imports are deferred into commands."""
