"""Nearest neighbours among a catalogue's vectors."""
