"""A local page that takes pictures and clips and shows the people in them; needs the extra `app`."""
