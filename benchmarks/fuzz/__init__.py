"""Fuzzing of everything that reads foreign files: damaged and odd ones end in one line, never worse."""
