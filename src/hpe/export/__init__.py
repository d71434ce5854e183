"""Results and models as files for other programs; nothing here knows how they were made."""
