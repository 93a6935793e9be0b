"""A server under load: what it grants its cache, what its steps take, and how long requests wait."""
