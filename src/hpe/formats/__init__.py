"""Foreign file formats, read without running anything in them; they have no subject of their own."""
