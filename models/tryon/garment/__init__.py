"""The garment of a try-on: turned upright, and its landmarks, found in its mask."""
