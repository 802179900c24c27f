"""How each family of models is built, from its configuration. Pure."""
