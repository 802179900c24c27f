"""Pure arithmetic before any launch: a model on a device, its KV cache, memory, floors, starting values."""
