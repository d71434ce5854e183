"""Pictures of bodies: the rasteriser, overlays, skeletons and grids."""
