"""The parts of drawn garments."""
