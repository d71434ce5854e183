"""Generated people: bodies, postures, clothes, backgrounds, lights."""
