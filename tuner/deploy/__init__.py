"""A chosen configuration as what one deploys: a command line, vLLM's own file, a container, a unit. Pure.

Owns what such a text holds and how each of its readers wants it quoted. Decides nothing about the configuration, reads
no file, and writes none: every form is text.
"""
